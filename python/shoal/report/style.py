"""The look of the page and the PNGs: few colours, told apart by lightness too, so that a grey print still reads."""

INK = "#1f2933"  # text
QUIET = "#7b8794"  # axes, captions
GRID = "#e8ecf0"
CROWD = "#c3cdd8"  # the many
KIN = "#7fa3c7"  # those of them that matter to the end
BEST = "#0b3c6f"  # the one: darkest and thickest
RIVAL = "#c2702a"  # another method, always dashed
SCALE = [(0.0, "#e3eaf1"), (0.6, KIN), (1.0, BEST)]  # worst to best
FONTS = ["Inter", "Segoe UI", "Helvetica Neue", "Liberation Sans", "Arial", "DejaVu Sans"]
