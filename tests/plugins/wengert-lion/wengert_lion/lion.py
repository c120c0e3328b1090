"""Lion: steps of one size, in the direction of the sign of an average.

Source: Chen et al., Symbolic discovery of optimization algorithms (2023), algorithm 2.
"""

from wengert.optim import Optimizer


class Lion(Optimizer):
    """p <- (1 - lr * weight_decay) p - lr * sign(b1 m + (1 - b1) g);   m <- b2 m + (1 - b2) g"""

    defaults = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, "decoupled_weight_decay": True}

    def init_state(self, p, group):
        return {"exp_avg": p.detach().clone().zero_()}

    def update(self, p, g, state, group):
        m, (b1, b2) = state["exp_avg"], group["betas"]
        p.sub_(m.lerp(g, 1 - b1).sign(), alpha=group["lr"])
        m.lerp_(g, 1 - b2)
