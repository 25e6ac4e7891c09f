"""Side-by-side measurements: `python -m benchmarks.detection`, `.false_alarms`, `.cost`; each knows `--help`."""
