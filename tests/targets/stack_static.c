// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Static, and not position-independent. */
#define STACK_STATIC
#include "stack_body.h"
