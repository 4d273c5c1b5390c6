// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* As compilers build by default: no frame pointers. */
#include "stack_body.h"
