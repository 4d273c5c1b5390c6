/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands: a file each in this folder, a row each in COMMANDS. The build checks both ways. */
#ifndef HOPSCOPE_CMD_H
#define HOPSCOPE_CMD_H

/* X(name, arguments, one line of help) */
#define COMMANDS(X)                                                                          \
	X(doctor, "",                                                                        \
	  "what this kernel and these privileges allow, and what to do about the rest")      \
	X(trace, "[filters]", "live latency by route")                                       \
	X(hops, "[filters]", "where a round trip's time goes, hop by hop")                   \
	X(mem, "[filters]", "containers, limits, growth")                                    \
	X(heap, "PID", "who holds the memory: table, folded stacks, flame graph, pprof")     \
	X(bench, "SCENARIO.yaml", "start the stack, drive the load, measure, judge, report") \
	X(report, "SESSION", "render a recorded session again")

/* argv[0] is the command's name. Returns an enum exit_code. */
#define COMMAND_DECLARE(name, args, help) int cmd_##name(int argc, char **argv);
COMMANDS(COMMAND_DECLARE)
#undef COMMAND_DECLARE

/* A load worker, started by bench as `hopscope __worker ROLE`; not for users (src/load/worker.h).
 */
int cmd_worker(int argc, char **argv);

#endif
