"""A world outside a condition: the parameters that the notes keep apart are one."""

from vbref.audit.worlds import Logits, Table, softmax


class Tied(Logits):
    """A finite model whose encoder has no parameters of its own: the logits of q(z|x) are θ's."""

    def table(self) -> Table:
        return Table(softmax(self.prior), softmax(self.likelihood), softmax(self.likelihood.T))
