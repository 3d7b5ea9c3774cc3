"""The losses of paper 1 by the names of the configuration."""

from dense_labels.method import losses

KINDS = {"log": losses.LogLikelihoodLoss, "dist": losses.DistanceLoss, "margin": losses.MarginLoss}


def create(name, stride, *, gamma=None, pack=True):
    """The loss layer of a name; "log" has no gamma."""
    return KINDS[name](stride, pack=pack, **({} if name == "log" else {"gamma": gamma}))
