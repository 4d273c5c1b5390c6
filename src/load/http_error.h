/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a failed transfer is called: libcurl's code and the system's errno to enum http_fate. */
#ifndef HOPSCOPE_LOAD_HTTP_ERROR_H
#define HOPSCOPE_LOAD_HTTP_ERROR_H

#include <curl/curl.h>

#include "load/http_calls.h"

/* CURLE_OK is HTTP_ANSWERED. os_errno (CURLINFO_OS_ERRNO): 0 where libcurl knows none. */
enum http_fate http_error__fate(CURLcode code, long os_errno);

#endif
