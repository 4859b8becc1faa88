"""What each process of a distributed test does; a module of its own, for spawned processes to import."""

import os

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from test_centermask import boosted

from conftest import build, sample, small_config

SIZE = 128
OBJECTS = [[[10, 12, 70, 90], [40, 30, 120, 100]], [[5, 80, 25, 100]], [], [[0, 0, 127, 127], [30, 30, 60, 50]]]


def model():
    """CenterMask whose normalization is fixed, as in fine-tuning: batches of any split see the same features."""
    cfg = small_config()
    cfg.backbone.norm_eval = True
    built = boosted(build(cfg))
    for name, statistic in built.named_buffers():
        if name.endswith('running_mean'):
            statistic += 0.01  # as after training
    return built.train()


def images(indices):
    """Some of the four images, of one size, with their objects."""
    pixels = torch.randn(len(OBJECTS), 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    samples = [sample(SIZE, SIZE, OBJECTS[i], list(range(len(OBJECTS[i])))) for i in indices]
    return dict(inputs=pixels[list(indices)], data_samples=samples)


def join(rank, world, port):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world)
    # as tools/train.py wraps it: without find_unused_parameters
    return MMDistributedDataParallel(model(), device_ids=None, broadcast_buffers=False)


def one_step(rank, shares, port, out):
    """Losses and gradients of one step in which process ``rank`` sees the images ``shares[rank]``."""
    ddp = join(rank, len(shares), port)
    losses = ddp(**images(shares[rank]), mode='loss')
    sum(losses.values()).backward()
    grads = {name: p.grad for name, p in ddp.module.named_parameters()}
    torch.save(dict(losses={k: v.detach() for k, v in losses.items()}, grads=grads), f'{out}/{rank}.pt')
    dist.destroy_process_group()


def several_steps(rank, shares, port, out):
    """The weights after three steps of SGD, with other images each."""
    ddp = join(rank, len(shares), port)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=1e-4)
    for step in range(3):
        batch = [(i + step) % len(OBJECTS) for i in shares[rank]] if 2 not in shares[rank] else shares[rank]
        optimizer.zero_grad()
        sum(ddp(**images(batch), mode='loss').values()).backward()
        assert all(p.grad is not None for p in ddp.parameters())
        optimizer.step()
    torch.save(ddp.module.state_dict(), f'{out}/{rank}.pt')
    dist.destroy_process_group()
