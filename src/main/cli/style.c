#include "main/cli/style.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	WIDTH = 80,
	WIDTH_LEAST = 40,
	WIDTH_MOST = 120,
};

struct check_style cli_style(const struct config *c)
{
	struct check_style style = {.verbose = c->verbose, .width = WIDTH};
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return style;
	style.colour = (no_colour == NULL || *no_colour == '\0') &&
		       (term == NULL || strcmp(term, "dumb") != 0);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		style.width = size.ws_col < WIDTH_LEAST  ? WIDTH_LEAST
			      : size.ws_col > WIDTH_MOST ? WIDTH_MOST
							 : size.ws_col;
	return style;
}
