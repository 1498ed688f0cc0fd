"""A trained network adapted: few numbers learn, several adapters stack or mix, and a merged one is a plain network again."""

import tempfile

import torch
from torch import nn

import catlearn as cl
from catlearn import adapters


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 4))


if __name__ == "__main__":
    x, y = torch.randn(64, 16), torch.randint(0, 4, (64,))
    net = cl.adapt(model(), adapters.LoRA(rank=4, alpha=8), where="0|2", name="task")
    learns = [p for p in net.parameters() if p.requires_grad]
    print("numbers that learn:", sum(p.numel() for p in learns), "of", sum(p.numel() for p in net.parameters()))

    optimiser = torch.optim.Adam(learns, lr=1e-2)
    for step in range(60):
        loss = nn.functional.cross_entropy(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 20 == 0:
            print(f"  step {step:2}: loss {loss.item():.3f}")
    with adapters.disabled(net):
        print("without it, the old network:", torch.equal(net(x), model()(x)))

    # a second one acts on the weight that the first has made; the order is composition
    cl.adapt(net, adapters.HRA(rank=2), where="0", name="turn")
    nn.init.normal_(net[0].adapters.weight.turn.u)
    one = adapters.activate(net, ["task", "turn"])(x)
    print("the order matters:          ", not torch.allclose(adapters.activate(net, ["turn", "task"])(x), one, atol=1e-3))

    with tempfile.TemporaryDirectory() as folder:  # peft reads this folder, and cl.load_adapter peft's
        cl.save_adapter(net, folder, name="task")
        again = cl.load_adapter(model(), folder)
    answer = adapters.activate(net, "task")(x)
    print("saved and loaded, the same: ", torch.allclose(again(x), answer, atol=1e-5))

    plain = cl.merge(again, keep_base=False)
    print("merged:", type(plain[0]).__name__, list(plain.state_dict()), torch.allclose(plain(x), answer, atol=1e-5))
