"""The page "devices and peers", made from asv's results: ratios, times by size, a roofline for each device.

Holds `results`, which reads them, `plots`, which draws, and `page`, which writes. No script, and nothing from a network: HTML
and SVG, made here, so that it can be looked at anywhere and tested without a browser.
"""
