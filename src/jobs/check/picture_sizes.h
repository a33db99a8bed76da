/* Sizes of the picture, in pixels; only for jobs/check/picture*.c. */
#pragma once

#include "jobs/check/picture.h"

enum {
	FONT = 12,
	NAME_FONT = 14,
	TITLE_FONT = 15,
	SMALL_FONT = 11,
	MARGIN = 16,
	TITLE_HEIGHT = 30,
	LEGEND_HEIGHT = 44,
	LEGEND_WIDTH = 560,
	ALIAS_MARGIN = 44, /* at the right: aliases go round there */
	ZONE_GAP = 26,     /* between boxes side by side */
	ZONE_DROP = 46,    /* between boxes under one another */
	ZONE_WIDTH_MIN = 190,
	PAD = 14,
	HEAD = 40, /* name and state */
	WHY_HEIGHT = 18,
	ROW_GAP = 46,
	NODE_GAP = 34, /* has room for a loop */
	NODE_PAD = 9,
	NODE_WIDTH_MIN = 120,
	LINE_HEIGHT = 17,
	WORD_GAP = 10,
	LOOP = 22,
	/* Characters shown; the whole text shows when it is pointed at. */
	NAME_LETTERS = 48,
	WHY_LETTERS = 56,
	WORD_LETTERS = 24,
	TEXT_LETTERS = 58,
	LABEL_LETTERS = 28,
};

/* A letter of a font of one width is 0.6 of its size wide, and a little for safety. */
static inline int check_picture_width_of(size_t letters, int font)
{
	return (int)(letters * (size_t)font * 61 / 100) + 1;
}

static inline int check_picture_width(size_t letters)
{
	return check_picture_width_of(letters, FONT);
}

/* Characters of UTF-8 that is known to be well formed. */
size_t check_picture_letters(const char *text);
