#include "core/mail/date.h"

const char *mail_date(usec_t unix_usec, char ret[MAIL_DATE_MAX])
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const time_t last = 253402300799; /* of the year 9999 */
	time_t t = unix_usec < 0 ? 0 : (time_t)(unix_usec / USEC_PER_SEC);
	struct tm tm;

	if (t > last)
		t = last;
	require(gmtime_r(&t, &tm) != NULL);
	snprintf(ret, MAIL_DATE_MAX, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday],
		 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		 tm.tm_sec);
	return ret;
}
