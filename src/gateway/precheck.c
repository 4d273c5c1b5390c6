// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a run needs, looked for before anything is started or left behind. */

#include "bench/precheck.h"
#include "gateway/run.h"
#include "log.h"
#include "probe/privileges.h"

int gwrun__precheck(struct gwrun *r)
{
	int err = precheck__host(&r->course.mounts, !r->course.opts->no_probe);

	if (!err && !r->course.opts->no_probe)
		err = privileges__check(PRIVILEGES_TLS);
	if (err)
		return err;
	err = gateway__templates(r->course.opts->scenario, r->templates);
	if (err)
		return log_fail(err,
				"the folder gateway/ with the services' configurations is not "
				"beside %s",
				r->course.opts->scenario);
	gw_scenario__stack(r->scenario, &r->stack_opts);
	r->stack_opts.templates = r->templates;
	/* Before the ports: what a killed run left may hold them. */
	rundir__sweep(&r->course.mounts);
	err = gateway__check(&r->stack_opts, &r->versions);
	return err ? err : outdir__open(&r->course.outdir, r->course.opts->out);
}
