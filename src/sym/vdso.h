/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef HOPSCOPE_SYM_VDSO_H
#define HOPSCOPE_SYM_VDSO_H

/* The vdso as a file in memory: of this process, so of this kernel. An fd or negative errno. */
int vdso__open(void);

#endif
