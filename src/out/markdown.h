/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report, from the session document and nothing else. */
#ifndef HOPSCOPE_OUT_MARKDOWN_H
#define HOPSCOPE_OUT_MARKDOWN_H

#include <stdio.h>

#include <jansson.h>

/* Renders a session that session__check() accepted. Flushes. 0, -ENOMEM or -EIO. */
int markdown__report(FILE *out, const json_t *session);

#endif
