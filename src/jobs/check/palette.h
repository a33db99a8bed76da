/* The colours of the page and of the picture in it: X(name, on white, on black). */
#pragma once

/* clang-format off */
#define CHECK_PALETTE(X) \
	X(bg, "#fff", "#14171b") \
	X(panel, "#f6f8fa", "#1c2127") \
	X(fg, "#1b1f24", "#e4e8ec") \
	X(dim, "#59636e", "#9aa4ae") \
	X(line, "#d8dee4", "#343b43") \
	X(pass, "#176f2c", "#5bc776") \
	X(info, "#3a5a8c", "#8db4ee") \
	X(skip, "#6a737d", "#9aa4ae") \
	X(warn, "#8a5a00", "#e0ad4a") \
	X(fail, "#b3202a", "#ff7b7b")
/* clang-format on */
