// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/limits.h"

#include <sys/resource.h>

#define FILES_WANTED 65536

void limits__raise_files(void)
{
	struct rlimit r = {0}, more;

	getrlimit(RLIMIT_NOFILE, &r);
	more.rlim_cur = more.rlim_max = FILES_WANTED > r.rlim_max ? FILES_WANTED : r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more)) {
		more.rlim_cur = more.rlim_max = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &more);
	}
}
