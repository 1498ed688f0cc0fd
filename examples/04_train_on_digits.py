"""Train on real handwritten digits: a network, a loss and an optimiser are a learner; `fit` runs it over the data."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import catlearn as cl

x, h, y = cl.R(64), cl.R(96), cl.R(10)
block = cl.copy(h) >> (cl.linear(h, h) >> cl.gelu) @ cl.id(h) >> cl.add(h)
net = cl.linear(x, h).named("stem") >> cl.repeat(2, block).named("body") >> cl.linear(h, y).named("head")

if __name__ == "__main__":
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels), test_size=360, random_state=0)
    train, test = (parts[0], parts[2]), (parts[1], parts[3])

    learner = cl.learner(net, cl.cross_entropy, cl.adamw(3e-3))
    print("what is trained is itself an arrow:", learner.closed.dom, "→", learner.closed.cod)

    fitted = learner.fit(train, test, epochs=12, batch_size=64, metrics="accuracy")
    for record in fitted.history[::3]:
        print(f"epoch {record['epoch']:2}  loss {record['loss']:.3f}  accuracy on unseen images {record['val_accuracy']:.3f}")

    model = fitted.model().eval()  # a plain torch.nn.Module with the trained weights
    with torch.no_grad():
        right = (model(test[0]).argmax(-1) == test[1]).sum()
    print(f"{right} of {len(test[1])} right, by a module with the entries")
    print(*(f"  {name}" for name in model.state_dict()), sep="\n")
