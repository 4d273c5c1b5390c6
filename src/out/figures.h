/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Figures that belong to a report: files beside it, drawn from the session and nothing else. */
#ifndef HOPSCOPE_OUT_FIGURES_H
#define HOPSCOPE_OUT_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

struct figure {
	const char
		*file; /* "added.svg": its name beside the report, and as a format; NULL: the end */
	/* Whether a session has anything to draw in it. */
	bool (*has)(const json_t *session);
	/* Flushes. 0, -ENODATA: nothing to draw; -ENOMEM or -EIO. */
	int (*render)(FILE *out, const json_t *session);
};

/* A list each of what is drawn. */
extern const struct figure pf_figures[], hop_figures[];

/* Number i of all, from 0; NULL: there are not so many. */
const struct figure *figure__at(size_t i);
/* NULL: there is none of this name. */
const struct figure *figure__find(const char *file);

#endif
