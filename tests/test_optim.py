"""Optimisers, step by step against the numbers that PyTorch's of the same names gave for the same problem."""

from __future__ import annotations

import numpy as np
import pytest

import agrad as ag
from agrad import DeviceError, GraphError, Tensor
from agrad.functional import tanh
from agrad.losses import mean_squared_error
from agrad.nn import Model
from agrad.optim import SGD, Adam, AdamW
from tests.conftest import STRICT

A0 = [[0.5, -1.2], [0.3, 0.8], [-0.7, 0.1]]
B0 = [0.2, -0.4]
XS = [[1.0, 2.0, -1.0], [0.5, -0.3, 0.8], [-1.5, 0.7, 0.2], [0.9, 1.1, -0.6]]
YS = [[0.5, -0.2], [1.0, 0.3], [-0.8, 0.9], [0.1, -1.1]]

# Twenty steps of PyTorch 2.13 in float64: the loss before the step, and after it sum(A²), b[0] and A[2, 1].
PYTORCH = {
    "sgd": (
        lambda p: SGD(p, lr=0.1),
        [
            (0.491721104118, 2.8840647278, 0.216621945922, 0.114974402338),
            (0.469776971241, 2.85151882027, 0.232966127206, 0.128227082382),
            (0.450411016163, 2.82182035069, 0.248793964515, 0.140268484848),
            (0.433006386187, 2.79457647055, 0.263914707703, 0.151458675772),
            (0.417226142348, 2.76946438344, 0.278186832602, 0.16205286597),
            (0.40285773635, 2.74619697616, 0.291515144287, 0.172234915888),
            (0.389739406056, 2.72451093326, 0.303844793691, 0.182139941751),
            (0.377728795828, 2.70416460728, 0.315153681608, 0.191869246265),
            (0.366691798383, 2.68493913085, 0.325444559845, 0.201500210227),
            (0.356500193053, 2.66663981712, 0.334737750266, 0.211092928837),
            (0.347032437487, 2.64909678361, 0.34306498207, 0.220694734527),
            (0.338175049712, 2.63216464124, 0.350464510854, 0.230343328077),
            (0.329823597577, 2.61572145522, 0.356977465588, 0.240068976414),
            (0.32188306492, 2.59966727558, 0.362645258998, 0.249896071816),
            (0.31426767604, 2.5839225061, 0.367507861636, 0.259844245042),
            (0.306900354732, 2.56842631342, 0.371602749394, 0.269929160377),
            (0.299711994171, 2.55313520908, 0.37496436517, 0.280163079341),
            (0.292640682128, 2.53802188114, 0.377623973512, 0.290555253148),
            (0.285630991384, 2.52307430892, 0.379609824657, 0.301112186596),
            (0.278633418933, 2.50829516257, 0.38094757804, 0.311837804752),
        ],
    ),
    "momentum": (
        lambda p: SGD(p, lr=0.05, momentum=0.9),
        [
            (0.491721104118, 2.90153498833, 0.208310972961, 0.107487201169),
            (0.480557762557, 2.86906891738, 0.224046948483, 0.121277512483),
            (0.460688516914, 2.82830699568, 0.246279301325, 0.139996396338),
            (0.435108421028, 2.7850695673, 0.273925865315, 0.162274825307),
            (0.406727395195, 2.74443957261, 0.305669296282, 0.186927445756),
            (0.378007262705, 2.71023175973, 0.339960076118, 0.213061521532),
            (0.350774999666, 2.68476024848, 0.375125071654, 0.240100730927),
            (0.326068419523, 2.66888259834, 0.40954348562, 0.267747444297),
            (0.304068095353, 2.66228836613, 0.44181197032, 0.295919830912),
            (0.284241227415, 2.66394338861, 0.470836243818, 0.324689645278),
            (0.265656586687, 2.67256456667, 0.495838755059, 0.354231021525),
            (0.247307821794, 2.68702665375, 0.516313591224, 0.384780107349),
            (0.228342715781, 2.70665756381, 0.53197111864, 0.41660062313),
            (0.208215063589, 2.73141117469, 0.542708285362, 0.449949285403),
            (0.18684136261, 2.76189449849, 0.548632219486, 0.485036110826),
            (0.164840178565, 2.79917517791, 0.550154996649, 0.5219778528),
            (0.143826152001, 2.84425516792, 0.548144474603, 0.560748499317),
            (0.126427077289, 2.89721394542, 0.544031781927, 0.601137789663),
            (0.115364043419, 2.95643973339, 0.539691525509, 0.642733261979),
            (0.111573559003, 3.01869434086, 0.537021421288, 0.684938232139),
        ],
    ),
    "weight decay": (
        lambda p: SGD(p, lr=0.1, weight_decay=0.1),
        [
            (0.491721104118, 2.82633597554, 0.214621945922, 0.113974402338),
            (0.468189574956, 2.73799021744, 0.228564365362, 0.126305324653),
            (0.447202823904, 2.65430722636, 0.241599412021, 0.137504989114),
            (0.428166732375, 2.5747847997, 0.253556272898, 0.147933332114),
            (0.410735678632, 2.49900113908, 0.264319563154, 0.157844083),
            (0.394670922242, 2.42658523275, 0.273823101926, 0.167418354594),
            (0.379777013845, 2.35720774927, 0.2820410417, 0.176787193545),
            (0.365876923457, 2.29057992751, 0.288978262595, 0.186046409144),
            (0.352804598478, 2.22645452826, 0.294661456575, 0.195266342622),
            (0.340404387599, 2.16462650761, 0.299131731824, 0.204498368152),
            (0.328532529349, 2.10493281844, 0.302439072718, 0.213779272018),
            (0.317058844252, 2.04725145434, 0.304638671532, 0.223134237981),
            (0.305868176223, 1.99150002536, 0.305788991065, 0.232578906457),
            (0.294861735613, 1.93763407574, 0.30595137116, 0.242120814661),
            (0.283958706167, 1.88564516199, 0.305190998882, 0.251760425751),
            (0.273098490434, 1.83555846573, 0.303579069276, 0.261491893087),
            (0.262243852578, 1.78742944934, 0.301195923741, 0.271303666166),
            (0.251384960652, 1.74133881467, 0.2981348222, 0.28117901844),
            (0.240543875932, 1.69738488232, 0.294505751399, 0.291096558188),
            (0.229778347433, 1.65567263131, 0.290438301596, 0.301030768287),
        ],
    ),
    "nesterov": (
        lambda p: SGD(p, lr=0.05, momentum=0.8, weight_decay=0.05, nesterov=True),
        [
            (0.491721104118, 2.86141192515, 0.21405975133, 0.113026962104),
            (0.471194756595, 2.78742633179, 0.232736688077, 0.129317481295),
            (0.446120145964, 2.70532911587, 0.254488778499, 0.147382110082),
            (0.419186222374, 2.62044839173, 0.277764476147, 0.166257344021),
            (0.392253189993, 2.53629200044, 0.301065410907, 0.185410641323),
            (0.366503758317, 2.45485039562, 0.323055378832, 0.204618230302),
            (0.342522627065, 2.37698248905, 0.34265605373, 0.223856676229),
            (0.320379615658, 2.30282693277, 0.359089127551, 0.243220967451),
            (0.299772817542, 2.23217680842, 0.371862076109, 0.262865995948),
            (0.280202106828, 2.16477369549, 0.380721167429, 0.282964151346),
            (0.261121880452, 2.10050898307, 0.385600534128, 0.303672804122),
            (0.242056017302, 2.0395410075, 0.386589412004, 0.325107830893),
            (0.222694423007, 1.98233624115, 0.383931634527, 0.347321666725),
            (0.203003335602, 1.92962494611, 0.378063792968, 0.37028630419),
            (0.183361080171, 1.88224007602, 0.369683230772, 0.39388303738),
            (0.164658374424, 1.84081779726, 0.35980287611, 0.417901342426),
            (0.148184761753, 1.8054331009, 0.34970585389, 0.442048812231),
            (0.135121139426, 1.77540195437, 0.340724755317, 0.465972388288),
            (0.1258360294, 1.74947682869, 0.3339066467, 0.489288576601),
            (0.119643469184, 1.7263381863, 0.329767400261, 0.511617819956),
        ],
    ),
    "adam": (
        lambda p: Adam(p, lr=0.1),
        [
            (0.491721104118, 2.97999995953, 0.299999993984, 0.199999993322),
            (0.4129936374, 2.89992810973, 0.398804236957, 0.2799911749),
            (0.348758915875, 2.83576988275, 0.491502394068, 0.355797717527),
            (0.295693013785, 2.81368263605, 0.571252515491, 0.434823104517),
            (0.251535591827, 2.82952911405, 0.633384131304, 0.519385401857),
            (0.212659438922, 2.870570958, 0.676381183358, 0.608789993848),
            (0.178311957508, 2.93288154785, 0.700459017344, 0.701729976691),
            (0.14925616119, 3.02998997999, 0.706723637883, 0.796779716258),
            (0.125966426941, 3.17436247993, 0.6976568007, 0.891113380628),
            (0.109718553039, 3.36348831722, 0.678583994505, 0.979891506606),
            (0.107223940503, 3.57784358368, 0.659356417548, 1.05779446434),
            (0.122746191565, 3.78134591614, 0.651686746938, 1.12146603592),
            (0.142132066071, 3.95306788854, 0.660324731811, 1.17008738067),
            (0.150749769103, 4.09173702618, 0.683351993852, 1.20437189983),
            (0.147472703263, 4.20272966825, 0.716469888566, 1.22560861945),
            (0.137847786376, 4.29192569034, 0.754319555505, 1.23519293917),
            (0.128785534308, 4.36269546077, 0.790725024639, 1.23447684286),
            (0.124229858618, 4.41568865598, 0.820048149399, 1.22476937861),
            (0.123078403982, 4.45114256686, 0.838994767792, 1.20740466574),
            (0.122174211248, 4.4707913239, 0.846692806707, 1.18384758132),
        ],
    ),
    "adam, other options": (
        lambda p: Adam(p, lr=0.05, betas=(0.8, 0.95), eps=0.001, weight_decay=0.1),
        [
            (0.491721104118, 2.69690221769, 0.249660370984, 0.149644745128),
            (0.439526754537, 2.50247979755, 0.298977399101, 0.199211979672),
            (0.390244181043, 2.33518713852, 0.347133314206, 0.248661304549),
            (0.345139684071, 2.19203857343, 0.392630405038, 0.297948530058),
            (0.304907300009, 2.06834028935, 0.433214905341, 0.346980538344),
            (0.269703286347, 1.95820605198, 0.466122869952, 0.395546277975),
            (0.239332064762, 1.85608529502, 0.488746846612, 0.443222283174),
            (0.213489084637, 1.75841950103, 0.499436796244, 0.489258937257),
            (0.191851320904, 1.6641025778, 0.497908591718, 0.532484347668),
            (0.173879758049, 1.57360962354, 0.485071696199, 0.571314163185),
            (0.15850250465, 1.48780440156, 0.462574833932, 0.603964646543),
            (0.144238093465, 1.40729532932, 0.432438616224, 0.628844213975),
            (0.130290908707, 1.33247502261, 0.396974912234, 0.644938181343),
            (0.118130864365, 1.26372254382, 0.35918966322, 0.652007149097),
            (0.111803652677, 1.20098739895, 0.323942622229, 0.650550034358),
            (0.114620055565, 1.14306965107, 0.298575053186, 0.641605491944),
            (0.123043549835, 1.08876598027, 0.288636918062, 0.62651591407),
            (0.128560814792, 1.03837099044, 0.293345936624, 0.60674131433),
            (0.127621986262, 0.993362859522, 0.308155612997, 0.583744336867),
            (0.122781858474, 0.955235485099, 0.327666713819, 0.558927511507),
        ],
    ),
    "adamw": (
        lambda p: AdamW(p, lr=0.1),
        [
            (0.491721104118, 2.97416287956, 0.299799993984, 0.199899993322),
            (0.412807316921, 2.88839583255, 0.398288534287, 0.279751344911),
            (0.348371979687, 2.8188809138, 0.490517176035, 0.355420213312),
            (0.295074506877, 2.7916550077, 0.569600533056, 0.434281687502),
            (0.250654979367, 2.80239900512, 0.630841475166, 0.518585687333),
            (0.211539458745, 2.83838327655, 0.672721847146, 0.607601131778),
            (0.177034320709, 2.89603858024, 0.695487642546, 0.700019997122),
            (0.147925896955, 2.98902606725, 0.700338855526, 0.794390553959),
            (0.124688240552, 3.12936166256, 0.689962722162, 0.887829940141),
            (0.108833792057, 3.31391174183, 0.670036250238, 0.975467763682),
            (0.107413312204, 3.52184756415, 0.650827880543, 1.05203531197),
            (0.123754149801, 3.71699248227, 0.643891069326, 1.11427503633),
            (0.142606229422, 3.88002646823, 0.653337990722, 1.16144323994),
            (0.150185959438, 4.01030475555, 0.676907361237, 1.19429165884),
            (0.146137757469, 4.11327097512, 0.710148436746, 1.21412813461),
            (0.136319275212, 4.19461708231, 0.747576123383, 1.22236169093),
            (0.127593507805, 4.25740734988, 0.782952160592, 1.22035997361),
            (0.123481884469, 4.30212237007, 0.810763613718, 1.20945285661),
            (0.122520892205, 4.3290614164, 0.827947448373, 1.19100136665),
            (0.121565014915, 4.34011303027, 0.833802426585, 1.16650263767),
        ],
    ),
    "adamw, other options": (
        lambda p: AdamW(p, lr=0.05, betas=(0.7, 0.9), eps=0.0001, weight_decay=0.3),
        [
            (0.491721104118, 2.84787959285, 0.246969937372, 0.148466631969),
            (0.439995502626, 2.72056858815, 0.292889262433, 0.191762395891),
            (0.396737604827, 2.56232160627, 0.336973521689, 0.23260119706),
            (0.35616654854, 2.40586443655, 0.377949637413, 0.273424146352),
            (0.318806382837, 2.26085238203, 0.414125293584, 0.315594496747),
            (0.284838803963, 2.12789293769, 0.443596607412, 0.359412475205),
            (0.253765339251, 2.00630014163, 0.464547286399, 0.404510037502),
            (0.224995532034, 1.89672842893, 0.475536125561, 0.450172941111),
            (0.198411636508, 1.80056961201, 0.475700760275, 0.495429667811),
            (0.174327029101, 1.71920214599, 0.464901594896, 0.539025746162),
            (0.152989644593, 1.65391467721, 0.443891211774, 0.579439827981),
            (0.13430594326, 1.60587779868, 0.414561454382, 0.615050165501),
            (0.118415723659, 1.57599313059, 0.38032283137, 0.644455135342),
            (0.106880867653, 1.56477567252, 0.346962954232, 0.666811720492),
            (0.102296867451, 1.5715877712, 0.32366523854, 0.682018284286),
            (0.103996271959, 1.59233721706, 0.318593630608, 0.69068522049),
            (0.105789408492, 1.62048937873, 0.330359782788, 0.693973945237),
            (0.103868880051, 1.65190806775, 0.351390845398, 0.693411650786),
            (0.100370060171, 1.68452406562, 0.373521349908, 0.690733637147),
            (0.0981386595448, 1.71643060433, 0.389846519329, 0.687746795636),
        ],
    ),
}


class Layer(Model):
    def __init__(self, device="cpu", dtype="float64"):
        self.A = Tensor(A0, device=device, dtype=dtype)
        self.b = Tensor(B0, device=device, dtype=dtype)
        self.xs = Tensor(XS, device=device, dtype=dtype, requires_grad=False)
        self.ys = Tensor(YS, device=device, dtype=dtype, requires_grad=False)

    def forward(self, x):
        return tanh(x @ self.A + self.b)

    def loss(self):
        return mean_squared_error(self(self.xs), self.ys)


@pytest.mark.parametrize("name", PYTORCH)
def test_the_numbers_are_pytorchs(device, name):
    make, expected = PYTORCH[name]
    model = Layer(device)
    optimizer = make(model)
    for row in expected:
        loss = model.loss()
        loss.backward()
        optimizer.step()
        found = loss.item(), (model.A * model.A).sum().item(), model.b[0].item(), model.A[2, 1].item()
        assert found == pytest.approx(row, rel=1e-9)


@pytest.mark.parametrize("name", PYTORCH)
def test_float32_stays_float32(device, name):
    make, expected = PYTORCH[name]
    model = Layer(device, "float32")
    optimizer = make({"A": model.A, "b": model.b})
    dtype = model.A.dtype
    for _ in expected:
        model.loss().backward()
        optimizer.step()
    assert model.A.dtype == model.b.dtype == dtype
    assert (model.A * model.A).sum().item() == pytest.approx(expected[-1][1], rel=1e-3)


def test_numpy_numbers_as_settings_widen_nothing():
    number = np.float64(0.1)
    for make in (
        lambda p: SGD(p, number, momentum=number, weight_decay=number),
        lambda p: Adam(p, number, betas=(number, number), eps=number, weight_decay=number),
        lambda p: AdamW(p, number, weight_decay=number),
    ):
        x = Tensor([1.0], dtype="float32")
        optimizer = make({"x": x})
        for _ in range(2):
            (x * x).sum().backward()
            optimizer.step()
        assert x.dtype == np.float32


@pytest.mark.parametrize("make", [Adam, AdamW])
def test_a_complex_parameter_is_trained_like_two_real_ones(device, make):
    z = Tensor(np.array([1 + 1j, 2 - 3j]), device=device)
    parts = {"x": Tensor(np.array([1.0, 2.0]), device=device), "y": Tensor(np.array([1.0, -3.0]), device=device)}
    one, two = make({"z": z}, lr=0.1, weight_decay=0.2), make(parts, lr=0.1, weight_decay=0.2)
    for _ in range(3):
        x, y = parts.values()
        (ag.real(z) ** 4 + ag.imag(z) ** 2).sum().backward()
        (x**4 + y**2).sum().backward()
        one.step()
        two.step()
        np.testing.assert_allclose(z.numpy(), x.numpy() + 1j * y.numpy(), rtol=1e-14)


def test_the_rate_may_be_changed():
    x = Tensor(1.0)
    optimizer = SGD({"x": x}, lr=0.1)
    for rate, expected in ((0.1, 0.8), (0.25, 0.4)):
        optimizer.lr = rate
        (x * x).backward()
        optimizer.step()
        assert x.item() == pytest.approx(expected)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, momentum=0.9), Adam, AdamW])
def test_a_parameter_without_a_new_gradient_is_left_alone(device, make):
    x, y = Tensor([1.0, 2.0], device=device), Tensor([3.0, 4.0], device=device)
    optimizer = make({"x": x, "y": y})
    (x * y).sum().backward()
    optimizer.step()
    before, state = y.numpy(), dict(optimizer.state["y"])
    value = x.numpy()
    (x * x).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(y.numpy(), before)
    assert optimizer.state["y"].keys() == state.keys()
    assert all(optimizer.state["y"][key] is state[key] for key in state)
    assert (x.numpy() != value).all()
    optimizer.step()
    optimizer.step()
    assert (x.numpy() != value).all()


def test_a_step_lets_go_of_the_graph():
    model = Layer()
    optimizer = Adam(model)
    loss = model.loss()
    loss.backward()
    optimizer.step()
    with pytest.raises(GraphError, match="parameters were updated: run the forward pass again"):
        loss.backward()


def test_zero_grad_forgets_what_was_accumulated(device):
    x = Tensor([1.0, 2.0], device=device)
    optimizer = SGD({"x": x}, lr=0.5)
    for _ in range(3):
        (x * x).sum().backward(zero_grad=False)
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [6.0, 12.0])
    optimizer.zero_grad()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), [0.0, 0.0])
    optimizer.step()
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    for _ in range(2):
        (x * x).sum().backward(zero_grad=False)
    optimizer.step()
    np.testing.assert_array_equal(x.numpy(), [-1.0, -2.0])


def test_an_error_in_a_step_changes_nothing():
    class Half(SGD):
        def _new_value(self, device, value, gradient, state):
            if value.shape == (3,):
                raise ZeroDivisionError
            return super()._new_value(device, value, gradient, state)

    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0, 3.0])
    optimizer = Half({"x": x, "y": y}, 0.1, momentum=0.5)
    (x.sum() * y.sum()).backward()
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    np.testing.assert_array_equal(x.value, [1.0, 2.0])
    assert optimizer.state == {}
    SGD({"x": x}, 0.5).step()
    np.testing.assert_array_equal(x.value, [-2.0, -1.0])


def test_a_parameter_that_is_replaced_is_found():
    model = Layer()
    optimizer = SGD(model, 0.1)
    model.b = Tensor([1.0, 1.0])
    model.loss().backward()
    optimizer.step()
    assert (model.b.value != 1.0).all()
    parameters = {"b": Tensor(1.0)}
    optimizer = SGD(parameters, 0.1)
    parameters["b"] = parameters["b"] * 2.0
    with pytest.raises(GraphError, match="SGD: parameter b is not a differentiable leaf Tensor"):
        optimizer.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD([Tensor(1.0)], 0.1), TypeError, r"SGD: a model or a dict of tensors is needed, not \[Tensor"),
        (lambda: Adam({}), ValueError, "Adam: there are no parameters to train"),
        (lambda: SGD({"n": Tensor([1, 2])}, 0.1), GraphError, "SGD: parameter n is not a differentiable leaf Tensor"),
        (lambda: AdamW({"p": Tensor(1.0) * 2}), GraphError, "AdamW: parameter p is not a differentiable leaf Tensor"),
        (lambda: SGD({"p": 1.0}, 0.1), GraphError, "SGD: parameter p is not a differentiable leaf Tensor"),
        (lambda: SGD({"p": Tensor(1.0)}, -0.1), ValueError, "SGD: lr is not negative, as -0.1 is"),
        (lambda: SGD({"p": Tensor(1.0)}, float("nan")), ValueError, "SGD: lr is not negative, as nan is"),
        (lambda: SGD({"p": Tensor(1.0)}, 0.1, momentum=-1), ValueError, "SGD: momentum is not negative, as -1 is"),
        (lambda: AdamW({"p": Tensor(1.0)}, weight_decay=-1), ValueError, "AdamW: weight_decay is not negative, as -1"),
        (lambda: Adam({"p": Tensor(1.0)}, eps=-1), ValueError, "Adam: eps is not negative, as -1 is"),
        (
            lambda: Adam({"p": Tensor(1.0)}, betas=(0.9, 1.0)),
            ValueError,
            r"Adam: betas are in \[0, 1\), not \(0.9, 1.0\)",
        ),
        (lambda: SGD({"p": Tensor(1.0)}, 0.1, nesterov=True), ValueError, "SGD: nesterov needs a momentum"),
    ],
)
def test_settings_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_optimisers_are_a_part_of_agrad():
    assert ag.optim.SGD is SGD


def test_a_model_that_moves_leaves_what_is_remembered_behind():
    pytest.importorskip("array_api_strict")
    model = Layer()
    plain, remembering = SGD(model, 0.1), SGD(model, 0.1, momentum=0.9)
    for optimizer in (plain, remembering):
        model.loss().backward()
        optimizer.step()
    model.to(STRICT)
    model.loss().backward()
    with pytest.raises(DeviceError, match=f"SGD: .* parameter A is on device 'cpu', the parameter now on '{STRICT}'"):
        remembering.step()
    before = model.A.numpy()
    plain.step()
    assert (model.A.numpy() != before).any()
    model.loss().backward()
    SGD(model, 0.1, momentum=0.9).step()
