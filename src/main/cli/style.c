#include "main/cli/style.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct check_style cli_style(const struct config *c)
{
	struct check_style style = {.verbose = c->verbose, .width = 80};
	const char *no_colour = getenv("NO_COLOR");
	struct winsize size;

	if (isatty(STDOUT_FILENO)) {
		style.colour = no_colour == NULL || *no_colour == '\0';
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
			style.width = size.ws_col < 120 ? size.ws_col : 120;
	}
	return style;
}
