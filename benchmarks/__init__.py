"""Side-by-side measurements: `python -m benchmarks.detection`, `.false_alarms`, `.problems`, `.cost`.

Each knows `--help`.
"""
