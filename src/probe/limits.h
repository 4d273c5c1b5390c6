/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef HOPSCOPE_PROBE_LIMITS_H
#define HOPSCOPE_PROBE_LIMITS_H

/* As many descriptors as may be had, up to 65536: containers and mapped files take one each. */
void limits__raise_files(void);

#endif
