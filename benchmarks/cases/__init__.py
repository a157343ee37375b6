"""The cases by name; each is a function of the number of cores that makes a `Case`."""

from collections.abc import Callable

from benchmarks.cases import iwae, kl, mixture, vae
from benchmarks.timing import Case

CASES: dict[str, Callable[[int], Case]] = {
    "vae_step": vae.large,
    "vae_step_small": vae.small,
    "iwae_step": iwae.training_step,
    "iwae_5000": iwae.evaluation,
    "kl_multivariate_normal": kl.multivariate_normal,
    "kl_kumaraswamy_beta": kl.kumaraswamy_beta,
    "mixture_2d": mixture.two_dimensions,
    "mixture_16d": mixture.sixteen_dimensions,
}
