// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "log.h"

bool log_quiet;
bool log_verbose;

/* Paths, names and words of other programs are in messages: none of them is to steer a terminal. */
static void tame(char *line)
{
	for (unsigned char *c = (unsigned char *)line; *c; c++) {
		bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0; /* U+0080 to U+009F */

		if ((*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f || c1)
			*c = '?';
	}
}

/* One write a message, so that those of several processes do not mix within a line. */
__attribute__((format(printf, 2, 0))) static void log__print(const char *prefix, const char *fmt,
							     va_list ap)
{
	int saved = errno;
	char line[2048];
	int head, n;

	head = snprintf(line, sizeof(line), "hopscope: %s", prefix);
	n = vsnprintf(line + head, sizeof(line) - head, fmt, ap);
	tame(line);
	if (n >= 0)
		fprintf(stderr, "%s\n", line);
	errno = saved;
}

int log_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log__print("", fmt, ap);
	va_end(ap);
	return err;
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log__print("warning: ", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (log_quiet)
		return;
	va_start(ap, fmt);
	log__print("", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!log_verbose)
		return;
	va_start(ap, fmt);
	log__print("", fmt, ap);
	va_end(ap);
}
