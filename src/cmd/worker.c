/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `hopscope __worker ROLE [PPID]`: one load worker, started by bench (src/load/worker.h). */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "load/worker.h"
#include "log.h"

int cmd_worker(int argc, char **argv)
{
	long parent = 0;
	char *end = NULL;

	if (argc == 3) {
		parent = strtol(argv[2], &end, 10);
		if (end == argv[2] || *end || parent < 1 || parent > INT_MAX)
			argc = 0;
	}
	if (argc != 2 && argc != 3) {
		log_fail(-EINVAL,
			 "usage: hopscope __worker ROLE [PPID]; bench starts workers itself");
		return EXIT_USAGE;
	}
	return worker__main(argv[1], (pid_t)parent);
}
