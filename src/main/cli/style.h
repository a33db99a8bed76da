/* How findings are printed where standard output goes. */
#pragma once

#include "jobs/check/finding.h"
#include "main/config/options.h"

/* Colour on a terminal only and not with NO_COLOR, the terminal's width, -v. */
struct check_style cli_style(const struct config *c);
