"""What the made worlds show, measured over paired seeds: `python -m benchmarks.worlds`."""
