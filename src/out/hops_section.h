/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The phases of a run in which its load was followed hop by hop, in its report. */
#ifndef HOPSCOPE_OUT_HOPS_SECTION_H
#define HOPSCOPE_OUT_HOPS_SECTION_H

#include <stdbool.h>

#include <jansson.h>

#include "out/text.h"

bool md__is_hops(const json_t *phase);
/* "## Hop by hop": sentences, picture and waterfalls of each phase; NO DATA without. */
void md__hop_by_hop(struct text *out, const json_t *session);
/* Of one phase, where most of the time is: one sentence without its end. */
void md__hops_most(struct text *out, const json_t *phase);

#endif
