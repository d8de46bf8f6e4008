"""What a flow says of itself: its equation, with the options that were asked for and no others, and its constants."""

import numpy as np
import pytest

from odeopt import flows as F

FLOWS = [
    (F.gradient_flow(), "gradient flow", (0.0,),
     "x' = -g"),
    (F.gradient_flow(0.3), "gradient flow", (0.3,),
     "x' = -(g + decay x)"),
    (F.averaged_gradient_flow(0.5), "averaged gradient", (0.5, 0.0, 0.0),
     "x' = -m, tau m' = g - m"),
    (F.averaged_gradient_flow(0.5, decay=0.3, drift=0.2), "averaged gradient", (0.5, 0.3, 0.2),
     "x' = -m - drift x, tau m' = g + decay x - m"),
    (F.heavy_ball_flow(0.4), "heavy ball", (0.4, 0.0, 0.0),
     "x'' + a x' + g = 0"),
    (F.heavy_ball_flow(0.4, decay=0.3, drift=0.2), "heavy ball", (0.4, 0.3, 0.2),
     "x' = w - drift x, w' = -a w - g - decay x"),
    (F.nag_sc_flow(0.25), "heavy ball", (1.0, 0.0, 0.0),
     "x'' + a x' + g = 0"),
    (F.nesterov_flow(), "Nesterov", (3.0,),
     "x'' + (3/t) x' + g = 0"),
    (F.nesterov_flow(3.5), "Nesterov", (3.5,),
     "x'' + (3.5/t) x' + g = 0"),
    (F.bregman_flow(), "Bregman", (2.0, 0.25, 3.0),
     "x'' + (3/t) x' + 1 t^0 g = 0"),
    (F.bregman_flow(3, 0.5, friction=0.0), "Bregman", (3.0, 0.5, 0.0),
     "x'' + (0/t) x' + 4.5 t^1 g = 0"),
    (F.look_ahead_flow(0.4, 0.3), "look-ahead heavy ball", (0.4, 0.3, 1.0),
     "q'' + 2d q' + c g(q + b q') = 0"),
    (F.high_resolution_flow(0.04, 0.25), "high-resolution nag-sc", (1.0, 0.0, 0.2, 1.1, 0.0),
     "x'' + 2√mu x' + √s H x' + (1 + √(mu s)) g = 0"),
    (F.high_resolution_flow(0.04, kind="nag-c"), "high-resolution nag-c", (0.0, 3.0, 0.2, 1.0, 0.3),
     "x'' + (3/t) x' + √s H x' + (1 + 3√s/(2t)) g = 0"),
    (F.high_resolution_flow(0.04, 0.25, kind="heavy-ball"), "high-resolution heavy-ball", (1.0, 0.0, 0.0, 1.1, 0.0),
     "x'' + 2√mu x' + (1 + √(mu s)) g = 0"),
    (F.high_resolution_flow(0.04), "high-resolution nag-sc", (0.0, 0.0, 0.2, 1.0, 0.0),
     "x'' + 2√mu x' + √s H x' + (1 + √(mu s)) g = 0"),
    (F.clipped_flow(F.gradient_flow(), norm=0.1), "gradient flow, clipped", (0.1, 0.0, 0.0),
     "x' = -g, |g| at most 0.1"),
    (F.clipped_flow(F.heavy_ball_flow(1), value=2.0), "heavy ball, clipped", (0.0, 2.0, 1.0, 0.0, 0.0),
     "x'' + a x' + g = 0, |g_i| at most 2"),
    (F.newton_flow(), "Newton flow", (),
     "x' = -H⁻¹ g"),
    (F.normalized_flow(), "normalised gradient flow", (),
     "x' = -g/|g|"),
    (F.sign_flow(0.1), "regularised sign flow", (0.1,),
     "x' = -g/√(g² + eps²)"),
    (F.polyak_flow(-0.5), "Polyak flow", (-0.5,),
     "x' = -(f - f_star) g/|g|²"),
    (F.sam_flow(0.05), "SAM flow", (0.05, 1.0),
     "x' = -g(x + rho g/|g|)"),
    (F.sam_flow(0.05, normalized=False), "SAM flow, not normalised", (0.05, 0.0),
     "x' = -g(x + rho g)"),
    (F.sign_inclusion(), "sign inclusion", (0.0,),
     "x' ∈ -Sign(g)"),
    (F.sign_inclusion(0.2), "sign inclusion", (0.2,),
     "x' ∈ -Sign(g) - decay x"),
    (F.sign_of_mean(0.5), "sign of the mean", (0.5, 0.0),
     "x' ∈ -Sign(m), tau m' = g - m"),
    (F.sign_of_mean(0.5, 0.2), "sign of the mean", (0.5, 0.2),
     "x' ∈ -Sign(m) - decay x, tau m' = g - m"),
    (F.rmsprop_flow(0.8, 0.1), "RMSprop", (0.8, 0.1, 0.0),
     "x' = -g/√(v + eps), tau v' = g² - v"),
    (F.rmsprop_flow(0.8, 0.1, decay=0.3), "RMSprop", (0.8, 0.1, 0.3),
     "x' = -g/√(v + eps), tau v' = g² - v, g + decay x for g"),
    (F.rmsprop_flow(0.8, 0.1, eps_mode="outside"), "RMSprop", (0.8, 0.1, 0.0),
     "x' = -g/(√v + eps), tau v' = g² - v"),
    (F.rmsprop_flow(0.8, 0.1, bias_correction=True), "RMSprop (bias-corrected)", (0.8, 0.1, 1.0, 0.0),
     "x' = -g/√(v/q + eps), tau v' = g² - v, tau q' = 1 - q"),
    (F.rmsprop_flow(0.8, 0.1, bias_correction=True, eps_mode="outside", decay=0.3), "RMSprop (bias-corrected)",
     (0.8, 0.1, 0.0, 0.3),
     "x' = -g/(√(v/q) + eps), tau v' = g² - v, g + decay x for g, tau q' = 1 - q"),
    (F.rmsprop_flow(0.8, 0.1, centered=True), "RMSprop (centered)", (0.8, 0.1, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
     "x' = -g/√(v - m² + eps), tau v' = g² - v, tau m' = g - m"),
    (F.rmsprop_flow(0.8, 0.1, centered=True, bias_correction=True, friction=1.5, eps_mode="outside"),
     "RMSprop (centered, momentum, bias-corrected)",
     (0.8, 0.1, 0.0, 0.0, 1.5, 1.0, 1.0, 1.0),
     "x'' + a x' + g/(√(v/q - (m/q)²) + eps) = 0, tau v' = g² - v, tau m' = g - m"),
    (F.rmsprop_flow(0.8, 0.1, friction=0.0), "RMSprop (momentum)", (0.8, 0.1, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
     "x'' + a x' + g/√(v + eps) = 0, tau v' = g² - v"),
    (F.adagrad_flow(0.1), "Adagrad", (0.1, 0.0, 0.0, 0.0, 0.0),
     "x' = -g/(√V + eps), V' = g²"),
    (F.adagrad_flow(0.1, eps_mode="inside"), "Adagrad", (0.1, 1.0, 0.0, 0.0, 0.0),
     "x' = -g/√(V + eps), V' = g²"),
    (F.adagrad_flow(0.1, rate=0.6, decay=0.3, drift=0.2), "Adagrad", (0.1, 0.0, 0.6, 0.3, 0.2),
     "x' = -(g/(√V + eps) + drift x)/(1 + rate t), V' = g², g + decay x for g"),
    (F.adadelta_flow(0.5, 0.1, 0.01), "Adadelta", (0.5, 0.1, 0.01, 1.0, 0.0, 0.0),
     "x' = -lr y, y = √((u + e)/(v + eps)) g, tau v' = g² - v, tau u' = y² - u"),
    (F.adadelta_flow(0.5, 0.1, 0.01, 1.7, decay=0.3, drift=0.2), "Adadelta", (0.5, 0.1, 0.01, 1.7, 0.3, 0.2),
     "x' = -lr y - drift x, y = √((u + e)/(v + eps)) g, tau v' = g² - v, tau u' = y² - u, g + decay x for g"),
    (F.adam_flow(0.5, 0.8, 0.1), "Adam", (0.5, 0.8, 0.1, 0.0, 0.0, 0.0, 0.0),
     "x' = -(m/q1)/(√(v/q2) + eps), tau1 m' = g - m, tau2 v' = g² - v, tau_i q_i' = 1 - q_i"),
    (F.adam_flow(0.5, 0.8, 0.1, eps_mode="inside"), "Adam", (0.5, 0.8, 0.0, 0.1, 0.0, 0.0, 0.0),
     "x' = -(m/q1)/√(v/q2 + eps), tau1 m' = g - m, tau2 v' = g² - v, tau_i q_i' = 1 - q_i"),
    (F.adam_flow(0.5, 0.8, 0.1, eps_mode="hat", eps_root=0.02, decay=0.3, drift=0.2), "Adam",
     (0.5, 0.8, 0.1, 0.02, 0.3, 0.2, 1.0),
     "x' = -(m/q1)/(√(v/q2 + eps_root) + eps/√q2) - drift x, tau1 m' = g - m, tau2 v' = g² - v, tau_i q_i' = 1 - "
     "q_i, g + decay x for g"),
    (F.nadam_flow(0.5, 0.8, 0.1, 0.7), "NAdam", (0.5, 0.8, 0.1, 0.0, 0.0, 0.0, 0.7, 0.0),
     "x' = -((1 - mu) g + mu m)/(√(v/q2) + eps), mu = 1 - exp(-rate t)/2, tau1 m' = g - m, tau2 v' = g² - v, tau2 "
     "q2' = 1 - q2"),
    (F.adamax_flow(0.5, 0.8, 0.1), "AdaMax", (0.5, 0.8, 0.1, 0.0, 0.0, 0.0),
     "x' = -(m/q1)/u, tau1 m' = g - m, u = sup of (|g| + eps) e^(-(t-s)/tau2), tau1 q1' = 1 - q1"),
    (F.adamax_flow(0.5, 0.8, 0.1, eps_mode="outside", decay=0.3, drift=0.2), "AdaMax", (0.5, 0.8, 0.0, 0.1, 0.3, 0.2),
     "x' = -(m/q1)/(u + eps) - drift x, tau1 m' = g - m, u = sup of (|g|) e^(-(t-s)/tau2), tau1 q1' = 1 - q1, g + "
     "decay x for g"),
    (F.amsgrad_flow(0.5, 0.8, 0.1), "AMSGrad", (0.5, 0.8, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0),
     "x' = -(m/q1)/(√(w/q2) + eps), tau1 m' = g - m, tau2 v' = g² - v, w = max of v so far"),
    (F.amsgrad_flow(0.5, 0.8, 0.1, form="optax", eps_root=0.02), "AMSGrad", (0.5, 0.8, 0.1, 0.02, 0.0, 0.0, 1.0, 0.0),
     "x' = -(m/q1)/(√(w + eps_root) + eps), tau1 m' = g - m, tau2 v' = g² - v, w = max of v/q2 so far"),
    (F.amsgrad_flow(0.5, 0.8, 0.1, form="paper"), "AMSGrad", (0.5, 0.8, 0.1, 0.0, 0.0, 0.0, 2.0, 0.0),
     "x' = -(m)/(√(w) + eps), tau1 m' = g - m, tau2 v' = g² - v, w = max of v so far"),
    (F.modified_gradient_flow(0.1, 0.07), "modified gradient descent, order 2", (0.07, 0.0, 0.0, 0.0),
     "x' = -(g + c H g)"),
    (F.modified_gradient_flow(0.1, 0.07, decay=0.3), "modified gradient descent, order 2", (0.07, 0.3, 0.0, 0.0),
     "x' = -(g + c H g), g + decay x for g"),
    (F.modified_gradient_flow(0.1, 0.07, drift=0.2, decay=0.3), "modified gradient descent, order 2",
     (0.07, 0.3, 0.2, 0.01),
     "x' = F0 + c H F0 + (h/2) drift F0, F0 = -g - drift x, g + decay x for g"),
    (F.modified_gradient_flow(0.1, 0.07, order=1, drift=0.2), "gradient flow", (0.0, 0.0, 0.2, 0.0),
     "x' = -g - drift x"),
    (F.modified_gradient_flow(0.1, 0.05, order=3), "modified gradient descent, order 3", (0.1, 0.0),
     "x' = -(g + (h/2) H g + h² (H H g/3 + f'''(g, g)/12))"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.1), "modified Adam, order 2", (0.1, 3.0, 9.0, 0.1, 1.0, 0.0, 0.0),
     "x' = -g/D - (h/2) (k1 - k2 w)/D H(g/D), D = √(g² + eps)"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.1, eps_mode="outside", decay=0.3), "modified Adam, order 2",
     (0.1, 3.0, 9.0, 0.1, 0.0, 0.3, 0.0),
     "x' = -g/D - (h/2) (k1 - k2 w)/D H(g/D), D = |g| + eps, g + decay x for g"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.0), "modified Adam, order 2", (0.1, 3.0, 9.0, 0.0, 1.0, 0.0, 0.0),
     "x' = -sign(g) - (h/2) (k1 - k2)/|g| H sign(g)"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.1, drift=0.2), "modified Adam, order 2",
     (0.1, 3.0, 9.0, 0.1, 1.0, 0.0, 0.2),
     "x' = F0 + (h/2) (k1 - k2 w)/D H F0 + (h/2) drift F0, F0 = -g/D - drift x, D = √(g² + eps)"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.1, order=1, drift=0.2), "modified Adam, order 1",
     (0.0, 3.0, 9.0, 0.1, 1.0, 0.0, 0.2),
     "x' = -g/D - drift x, D = √(g² + eps)"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.1, order=1), "modified Adam, order 1", (0.0, 3.0, 9.0, 0.1, 1.0, 0.0, 0.0),
     "x' = -g/D, D = √(g² + eps)"),
    (F.muon_flow(0.5, (2, 3)), "Muon", (0.5, 0.0, 2.0, 3.0, 3.0, 0.0, 3.4445, -4.775, 2.0315, 0.0),
     "W' = -polar(m), tau m' = G - m"),
    (F.muon_flow(0.5, (-1, 3), steps=1, adjust="width", drift=0.2), "Muon",
     (0.5, 0.2, -1.0, 3.0, 2.0, 1.0, 3.4445, -4.775, 2.0315, 0.0),
     "W' = -width scale × NS1(m) - drift W, tau m' = G - m"),
    (F.muon_flow(0.5, (1, 3), eps=0.3), "Muon", (0.5, 0.0, 1.0, 3.0, 3.0, 0.0, 3.4445, -4.775, 2.0315, 0.3),
     "W' = -polar(m), tau m' = G - m"),
    (F.shampoo_flow(0.5), "Shampoo, diagonal", (0.5, 0.0, 0.0, 1.0),
     "x' = -g/√(v/q + eps), tau v' = g² - v, tau q' = 1 - q"),
    (F.shampoo_flow(0.5, drift=0.2, bias_correction=False), "Shampoo, diagonal", (0.5, 0.0, 0.2, 0.0),
     "x' = -g/√(v + eps) - drift x, tau v' = g² - v"),
    (F.shampoo_flow(0.5, (2, 3)), "Shampoo", (0.5, 0.0, 0.0, 1.0, 2.0, 3.0, 1.0, 1.0),
     "W' = -(L/q + eps)^(-1/4) G (R/q + eps)^(-1/4), tau L' = G Gᵀ - L, tau R' = Gᵀ G - R, tau q' = 1 - q"),
    (F.shampoo_flow(0.5, (2, 3), sides=(True, False), drift=0.2, bias_correction=False), "Shampoo",
     (0.5, 0.0, 0.2, 0.0, 2.0, 3.0, 1.0, 0.0),
     "W' = -(L + eps)^(-1/2) G - drift W, tau L' = G Gᵀ - L"),
    (F.shampoo_flow(0.5, (2, 3), sides=(False, True)), "Shampoo", (0.5, 0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0),
     "W' = -G (R/q + eps)^(-1/2), tau R' = Gᵀ G - R, tau q' = 1 - q"),
    (F.soap_flow(0.5, 0.8, 1.3, (2, 3)), "SOAP", (0.5, 0.8, 1.3, 0.0, 0.0, 2.0, 3.0, 1.0, 1.0),
     "W' = -U[(Uᵀ m V/q1)/(√(v/q2) + eps)]Vᵀ, tau1 m' = G - m, tau2 v' = (Uᵀ G V)² - v, tau3 L' = G Gᵀ - L, tau3 "
     "R' = Gᵀ G - R, tau_i q_i' = 1 - q_i"),
    (F.soap_flow(0.5, 0.8, 1.3, (2, 3), sides=(True, False), drift=0.2), "SOAP",
     (0.5, 0.8, 1.3, 0.0, 0.2, 2.0, 3.0, 1.0, 0.0),
     "W' = -U[(Uᵀ m/q1)/(√(v/q2) + eps)] - drift W, tau1 m' = G - m, tau2 v' = (Uᵀ G)² - v, tau3 L' = G Gᵀ - L, "
     "tau_i q_i' = 1 - q_i"),
    (F.soap_flow(0.5, 0.8, 1.3, (2, 3), sides=(False, True)), "SOAP", (0.5, 0.8, 1.3, 0.0, 0.0, 2.0, 3.0, 0.0, 1.0),
     "W' = -[(m V/q1)/(√(v/q2) + eps)]Vᵀ, tau1 m' = G - m, tau2 v' = (G V)² - v, tau3 R' = Gᵀ G - R, tau_i q_i' = "
     "1 - q_i"),
    (F.linear_test_flow(), "linear test equation", (),
     "z' = c z"),
]


@pytest.mark.parametrize(("flow", "name", "constants", "equation"), FLOWS, ids=[str(flow[0])[:60] for flow in FLOWS])
def test_name_constants_and_equation(flow, name, constants, equation):
    assert (flow.name, flow.equation) == (name, equation)
    np.testing.assert_allclose(list(flow.constants.values()), constants, rtol=1e-11)
    assert flow.p.tolist() == (list(flow.constants.values()) or [0.0])


def test_the_order_of_the_equation_is_that_of_the_position():
    for flow, name, _, equation in FLOWS:
        second = any(words in equation for words in ("x''", "q''")) and "RMSprop" not in name or name == "heavy ball"
        assert flow.order_of_position == (2 if second else 1), flow
        assert flow.rows == 1 + len(flow.slots) and flow.start([3.0, 4.0]).tolist() == [[3.0, 4.0]] + [[0.0] * 2] * (
            flow.rows - 1)


def test_what_a_field_costs():
    costs = {"Newton flow": 7, "SAM flow": 2, "SAM flow, not normalised": 2}
    sized = {"Muon": {6, 3, None}, "Shampoo": {6}, "SOAP": {6}}
    for flow, name, _, equation in FLOWS:
        assert flow.cost(6) == costs.get(name, 1) and flow.dim in sized.get(name, {None}), name
        curved = "H" in equation or name == "AdaMax" or "sign inclusion" == name or name == "gradient flow" and hasattr(
            flow, "coefficient")
        assert flow.needs_hessian == curved, name


@pytest.mark.parametrize(("flow", "h", "order", "coefficient", "penalty"), [
    (F.modified_gradient_flow(0.1, 0.07), 0.1, 2, 0.035, "|g|^2"),
    (F.modified_gradient_flow(0.1, 0.07, decay=1.0), 0.1, 2, 0.035, "|g + decay x|^2"),
    (F.modified_gradient_flow(0.1, 0.07, drift=0.2), 0.1, 2, 0.035,
     "(|g|^2 + 2 drift (x.g - f)), on (1 + h drift/2) (f + drift |x|^2/2)"),
    (F.modified_gradient_flow(0.3, 0.07, order=1), 0.3, 1, 0.0, "|g|^2"),
    (F.modified_gradient_flow(0.1, 0.05, order=3), 0.1, 3, 0.025, "|g|^2"),
    (F.modified_root_flow(0.1, 0.5, 0.8, 0.1), 0.1, 2, 0.05 * (3 - 9), "|g|_1"),
    (F.modified_root_flow(0.1, -0.5, 0.0, 0.1, decay=0.3), 0.1, 2, 0.05 * (1 / 3 - 1), "|g + decay x|_1"),
    (F.modified_root_flow(0.2, 0.5, 0.8, 0.1, drift=0.2), 0.2, 2, np.nan, ""),
    (F.modified_root_flow(0.2, 0.5, 0.8, 0.1, order=1), 0.2, 1, 0.0, "|g|_1"),
])
def test_what_a_modified_flow_descends(flow, h, order, coefficient, penalty):
    assert (flow.h, flow.order, flow.penalty) == (h, order, penalty)
    assert flow.coefficient == pytest.approx(coefficient, rel=1e-13, nan_ok=True)


def test_a_modified_flow_of_no_step():
    bare = F.modified.ModifiedFlow("x", "x' = -g", F.gradient_flow().rhs)
    assert (bare.h, bare.order, bare.coefficient, bare.penalty, bare.order_of_position) == (0.0, 1, 0.0, "", 1)


def test_mean_ages():
    """Of weights (1 - b) b^j at j steps, and with look-ahead the share b of them."""
    for beta in (0.0, 0.3, 0.9, 0.99):
        j = np.arange(5000)
        age = ((1 - beta) * beta**j * j).sum()
        assert F.modified.mean_age(beta) == pytest.approx(age, rel=1e-12)
        assert F.modified.mean_age(beta, ahead=True) == pytest.approx(beta * age, rel=1e-12)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: F.bregman_flow(1.99), "p must be in"), (lambda: F.bregman_flow(1.1e6), "p must be in"),
    (lambda: F.bregman_flow(C=0.0), "C must be in"), (lambda: F.bregman_flow(friction=-0.1), "friction must be in"),
    (lambda: F.high_resolution_flow(0.0), "s must be in"), (lambda: F.high_resolution_flow(0.1, -0.1), "mu must be in"),
    (lambda: F.nag_sc_flow(-0.1), "mu must be in"), (lambda: F.modified.mean_age(1.0), "beta must be in"),
    (lambda: F.modified.mean_age(-0.1), "beta must be in"), (lambda: F.modified_root_flow(0.1, 1.0, 0.8, 0.1), "beta1"),
    (lambda: F.modified_gradient_flow(0.1, 0.1, order=4), "order must be one of 1, 2, 3"),
    (lambda: F.modified_root_flow(0.1, 0.5, 0.8, 0.1, order=3), "order must be one of 1, 2, got 3"),
    (lambda: F.muon_flow(0.1, (2, 3), coefficients=(1.0, 2.0)), "coefficients must"),
    (lambda: F.muon_flow(0.1, (2, 3), steps=0), "steps must be at least 1"),
    (lambda: F.Flow("x", "", F.gradient_flow().rhs, dim=0), "dim must be at least 1"),
])
def test_least_and_largest_constants(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_constants_at_the_ends_are_taken():
    assert F.bregman_flow(1e6).constants["p"] == 1e6 and F.nag_sc_flow(0.0).constants["a"] == 0.0
    assert F.Flow("x", "", F.gradient_flow().rhs, evaluations=lambda n: 1, dim=1).dim == 1
    assert F.muon_flow(0.1, (1, 6)).dim == 6 and F.muon_flow(0.1, (-1, 6)).dim is None
