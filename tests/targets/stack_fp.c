// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* With frame pointers. */
#include "stack_body.h"
