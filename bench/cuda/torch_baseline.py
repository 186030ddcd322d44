"""Latency of PyTorch on this machine's GPU, float16, generated weights: eager, eager in a CUDA graph, torch.compile.

usage: torch_baseline.py [SECONDS]: torch.compile is left out once SECONDS have passed. Needs torch, torchvision, transformers.
Times lie between two events on a stream, inputs and outputs in device memory: medians, as network_bench has them.
"""
import statistics
import sys
import time

import torch
import torchvision
from transformers import BertConfig, BertModel

torch.backends.cudnn.benchmark = True


def median_ms(run, runs=200, warm_up=30):
    for _ in range(warm_up):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(runs):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def graphed(run):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def image(batch):
    return (torch.randn(batch, 3, 224, 224, device="cuda", dtype=torch.float16).to(memory_format=torch.channels_last),)


def tokens(batch):
    return (torch.randint(0, 30522, (batch, 128), device="cuda"),)


def models():
    for name, model in (("resnet50", torchvision.models.resnet50), ("mobilenet_v2", torchvision.models.mobilenet_v2)):
        yield name, model().eval().cuda().half().to(memory_format=torch.channels_last), image
    yield "bert_base", BertModel(BertConfig(attn_implementation="sdpa")).eval().cuda().half(), tokens


def main():
    end = time.time() + float(sys.argv[1] if len(sys.argv) > 1 else 480)
    print("torch", torch.__version__, torch.cuda.get_device_name(), "cudnn", torch.backends.cudnn.version(), flush=True)
    for name, model, make_inputs in models():
        for batch in (1, 8, 64):
            inputs = make_inputs(batch)
            with torch.inference_mode():
                times = {"eager": median_ms(lambda: model(*inputs), 60, 15), "graph": median_ms(graphed(lambda: model(*inputs)))}
                if time.time() < end:
                    compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)
                    times["compile"] = median_ms(lambda: compiled(*inputs))
            best = min(times, key=times.get)
            print(name, batch, *(f"{key} {value:.4f}" for key, value in times.items()), f"best {times[best]:.4f} ms ({best})", sep="\t", flush=True)
        torch._dynamo.reset()


if __name__ == "__main__":
    main()
