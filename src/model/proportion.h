/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A share with its exact interval (Clopper and Pearson, 1934): the binomial's, two-sided 95 %, so
 * that 1,000 of 1,000 is not "100 %" but "99.6 % to 100 %".
 */
#ifndef HOPSCOPE_MODEL_PROPORTION_H
#define HOPSCOPE_MODEL_PROPORTION_H

#include <stdint.h>

#include "model/estimate.h"

/* k of n, as a ratio (0 to 1), with n as its number of samples; estimate__none() when n is 0. */
struct estimate proportion__estimate(uint64_t k, uint64_t n);

#endif
