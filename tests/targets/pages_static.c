// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* pages_target.c, linked statically: see the Makefile. */
#include "pages_target.c"
