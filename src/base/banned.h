/* Forced in by the build (-include): functions without a bound, or with hidden state. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#define strcpy(a, b) banned_strcpy_use_arena_strdup
#undef strcat
#define strcat(a, b) banned_strcat_use_buf
#undef strncpy
#define strncpy(a, b, c) banned_strncpy_use_buf
#undef strncat
#define strncat(a, b, c) banned_strncat_use_buf
#undef sprintf
#define sprintf(...) banned_sprintf_use_snprintf
#undef vsprintf
#define vsprintf(...) banned_vsprintf_use_vsnprintf
#undef strtok
#define strtok(a, b) banned_strtok_use_spans
#undef sscanf
#define sscanf(...) banned_sscanf_use_cursor
#undef atoi
#define atoi(a) banned_atoi_use_strtol
#undef gmtime
#define gmtime(a) banned_gmtime_use_gmtime_r
#undef localtime
#define localtime(a) banned_localtime_use_localtime_r
#undef ctime
#define ctime(a) banned_ctime_use_strftime
