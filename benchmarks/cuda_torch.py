"""PyTorch's side of `benchmarks.cuda`: plain, compiled, and as a CUDA graph; TF32 off, and apart, on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases.networks import perceptron

Runs = dict[str, Callable[[], object]]


def _torch() -> Any:
    """torch, or None where it is missing or sees no GPU."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def _with_tf32(torch: Any, runs: Runs) -> Runs:
    """Each run with TF32 off, and again with it on; a run that has been compiled keeps what it began with."""

    def switched(run: Callable[[], object], on: bool) -> Callable[[], object]:
        def go() -> object:
            torch.backends.cuda.matmul.allow_tf32 = on
            return run()

        return go

    names = {False: "", True: " tf32"}
    return {f"{name}{names[on]}": switched(run, on) for name, run in runs.items() for on in (False, True)}


def kl(name: str, n: int) -> Runs:
    """torch.distributions, where it has the pair."""
    torch = _torch()
    kinds = {"kl_normal": "Normal", "kl_gamma": "Gamma"}
    if torch is None or name not in kinds:
        return {}
    kind = getattr(torch.distributions, kinds[name])
    a, b, c, d = (torch.rand(n, device="cuda") + 0.1 for _ in range(4))

    def run() -> Any:
        q, p = kind(a, b, validate_args=False), kind(c, d, validate_args=False)
        return torch.distributions.kl_divergence(q, p)

    return {"torch": run, "torch.compile": torch.compile(run), "torch graph": _graph(torch, run)}


def multivariate_normal(mean: np.ndarray, tril: np.ndarray) -> Runs:
    """torch.distributions, from the Cholesky factors, of each item and a wider one beside it."""
    torch = _torch()
    if torch is None:
        return {}
    a, root = torch.from_numpy(mean).cuda(), torch.from_numpy(tril).cuda()
    kind = torch.distributions.MultivariateNormal

    def run() -> Any:
        q = kind(a, scale_tril=root, validate_args=False)
        p = kind(a + 1, scale_tril=root * 1.4142135, validate_args=False)
        return torch.distributions.kl_divergence(q, p)

    return {"torch": run}


def adam(n: int) -> Runs:
    """A step of fused Adam."""
    torch = _torch()
    if torch is None:
        return {}
    leaf = torch.rand(n, device="cuda", requires_grad=True)
    leaf.grad = torch.rand(n, device="cuda")
    optimizer = torch.optim.Adam([leaf], fused=True, capturable=True)
    return {"torch": optimizer.step, "torch graph": _graph(torch, optimizer.step)}


def draws(n: int) -> Runs:
    """Normals into an array that is there."""
    torch = _torch()
    if torch is None:
        return {}
    out = torch.empty(n, device="cuda")
    return {"torch": out.normal_}


def layer(x: np.ndarray, w: np.ndarray) -> Runs:
    """tanh(x W + b)."""
    torch = _torch()
    if torch is None:
        return {}
    x_t, w_t = torch.from_numpy(x).cuda(), torch.from_numpy(w).cuda()
    bias = torch.zeros(w.shape[1], device="cuda")

    def run() -> Any:
        return torch.tanh(torch.addmm(bias, x_t, w_t))

    return _with_tf32(torch, {"torch": run}) | _graphs(torch, lambda: run)


def _bound(torch: Any, objective: str, params: Any, x: Any, noise: Any) -> Any:
    h = perceptron(torch, params, "encoder", x)
    d = noise.shape[-1]
    loc, log_var = h[..., :d], h[..., d:]
    z = loc + torch.exp(log_var / 2) * noise
    logits = perceptron(torch, params, "decoder", z)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    log_lik = -bce(logits, x.expand_as(logits), reduction="none").sum(-1)
    if objective == "elbo":
        kl = 0.5 * (torch.exp(log_var) + loc**2 - 1 - log_var).sum(-1)
        return log_lik.mean(0).sum() - kl.sum()
    log_w = log_lik + 0.5 * (noise**2 + log_var - z**2).sum(-1)
    return (torch.logsumexp(log_w, 0) - np.log(len(noise))).sum()


def importance(params: dict[str, np.ndarray], x: np.ndarray, k: int) -> Runs:
    """IWAE-k: all samples at once for one row, 50 at a time for more; plain and compiled."""
    torch = _torch()
    if torch is None:
        return {}
    fixed = {name: torch.from_numpy(a).cuda() for name, a in params.items()}
    x_t, d = torch.from_numpy(x).cuda(), params["decoder.0.weight"].shape[0]
    tile = k if len(x) == 1 else 50

    def part() -> Any:
        return _bound(torch, "iwae", fixed, x_t, torch.randn(tile, len(x), d, device="cuda"))

    fast = torch.compile(part)

    def every(of: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with torch.no_grad():
                return torch.stack([of() for _ in range(k // tile)])

        return run

    runs = {"torch": every(part), "torch.compile": every(fast)}
    return _with_tf32(torch, runs) | _graphs(torch, lambda: every(part))


def training(objective: str, params: dict[str, np.ndarray], x: np.ndarray, k: int) -> Runs:
    """A step with fused Adam: plain, with the loss compiled, and captured as a CUDA graph."""
    torch = _torch()
    if torch is None:
        return {}
    x_t = torch.from_numpy(x).cuda()

    def stepper(wrap: Callable[[Any], Any]) -> Callable[[], Any]:
        leaves = {name: torch.from_numpy(a).cuda().requires_grad_() for name, a in params.items()}
        adam = torch.optim.Adam(leaves.values(), fused=True, capturable=True)
        d = params["decoder.0.weight"].shape[0]
        loss = wrap(lambda noise: -_bound(torch, objective, leaves, x_t, noise) / len(x))

        def step() -> None:
            adam.zero_grad(set_to_none=False)
            loss(torch.randn(k, len(x), d, device="cuda")).backward()
            adam.step()

        return step

    runs = {"torch": stepper(lambda f: f), "torch.compile": stepper(torch.compile)}
    return _with_tf32(torch, runs) | _graphs(torch, lambda: stepper(lambda f: f))


def _graphs(torch: Any, make: Callable[[], Callable[[], Any]]) -> Runs:
    """What `make` gives, as CUDA graphs: recorded when first called, with TF32 off and on."""
    runs = {}
    for name, on in (("torch graph", False), ("torch graph tf32", True)):
        runs[name] = _graph(torch, make(), tf32=on)
    return runs


def _graph(torch: Any, run: Callable[[], Any], tf32: bool = False) -> Callable[[], Any]:
    recorded: list[Callable[[], Any]] = []

    def go() -> Any:
        if not recorded:
            torch.backends.cuda.matmul.allow_tf32 = tf32
            recorded.append(_recorded(torch, run))
        return recorded[0]()

    return go


def _recorded(torch: Any, step: Callable[[], Any]) -> Callable[[], Any]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def mixture(x: np.ndarray, k: int) -> Runs:
    """Responsibilities and statistics through an array of rows × components, float64."""
    torch = _torch()
    if torch is None:
        return {}
    x_t, d = torch.from_numpy(x).cuda().double(), x.shape[1]
    means, roots = (
        torch.randn(k, d, device="cuda").double(),
        torch.eye(d, device="cuda").double().repeat(k, 1, 1),
    )

    def run() -> Any:
        y = torch.einsum("kij,nkj->nki", roots, x_t[:, None] - means)
        r = torch.softmax(-0.5 * (y * y).sum(-1), 1)
        return r.sum(0), r.T @ x_t, torch.einsum("nk,ni,nj->kij", r, x_t, x_t)

    return {"torch": run, "torch.compile": torch.compile(run)}
