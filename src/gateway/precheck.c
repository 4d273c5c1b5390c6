// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a run needs, looked for before anything is started or left behind. */
#include <errno.h>
#include <string.h>

#include "bench/precheck.h"
#include "gateway/run.h"
#include "log.h"
#include "probe/privileges.h"

int gwrun__precheck(struct gwrun *r)
{
	int err = cgroup__mounts(&r->mounts);

	if (err)
		return log_fail(err, "cannot read /proc/self/mountinfo: %s", strerror(-err));
	err = precheck__privileges(&r->mounts, !r->opts->no_probe);
	if (!err && !r->opts->no_probe)
		err = privileges__check(PRIVILEGES_TLS);
	if (err)
		return err;
	err = gateway__templates(r->opts->scenario, r->templates);
	if (err)
		return log_fail(err,
				"the folder gateway/ with the services' configurations is not "
				"beside %s",
				r->opts->scenario);
	gw_scenario__stack(r->scenario, &r->stack_opts);
	r->stack_opts.templates = r->templates;
	/* Before the ports: what a killed run left may hold them. */
	rundir__sweep(&r->mounts);
	err = gateway__check(&r->stack_opts, &r->versions);
	return err ? err : outdir__open(&r->outdir, r->opts->out);
}
