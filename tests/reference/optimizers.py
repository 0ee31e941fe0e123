"""One step of every optimiser in float64, from the papers' formulas. ``w`` changes in place, ``s`` is its state."""

import numpy as np


def learning_rate(t, h):
    return h["lr"] / (1 + h["decay"] * t) * h["lr_decay"] ** (t // h["decay_every"])


def sgd(w, g, s, t, h):
    g = g + h["weight_decay"] * w
    s["v"] = h["momentum"] * s.get("v", 0) + g
    w -= learning_rate(t, h) * (g + h["momentum"] * s["v"] if h["nesterov"] else s["v"])


def adam(w, g, s, t, h):
    _adam_step(w, g + h["weight_decay"] * w, s, t, h)


def adamw(w, g, s, t, h):
    w *= 1 - learning_rate(t, h) * h["weight_decay"]
    _adam_step(w, g, s, t, h)


def _adam_step(w, g, s, t, h):
    s["m"] = h["beta1"] * s.get("m", 0) + (1 - h["beta1"]) * g
    s["v"] = h["beta2"] * s.get("v", 0) + (1 - h["beta2"]) * g**2
    m_hat = s["m"] / (1 - h["beta1"] ** (t + 1))
    v_hat = s["v"] / (1 - h["beta2"] ** (t + 1))
    w -= learning_rate(t, h) * m_hat / (np.sqrt(v_hat) + h["epsilon"])


def rmsprop(w, g, s, t, h):
    g = g + h["weight_decay"] * w
    s["v"] = h["beta2"] * s.get("v", 0) + (1 - h["beta2"]) * g**2
    s["m"] = h["momentum"] * s.get("m", 0) + g / (np.sqrt(s["v"]) + h["epsilon"])
    w -= learning_rate(t, h) * s["m"]


def adagrad(w, g, s, t, h):
    g = g + h["weight_decay"] * w
    s["v"] = s.get("v", 0) + g**2
    w -= learning_rate(t, h) * g / (np.sqrt(s["v"]) + h["epsilon"])


OPTIMIZERS = {"sgd": sgd, "adam": adam, "adamw": adamw, "rmsprop": rmsprop, "adagrad": adagrad}
