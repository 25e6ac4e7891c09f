"""Side-by-side measurements: `python -m benchmarks.detection`, `.false_alarms`, `.problems`, `.cost`, `.lengths`.

Each knows `--help`.
"""
