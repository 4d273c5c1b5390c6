/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What runtimes leave about their containers (OCI bundles, states, lists, names of logs), as a host
 * might have it that is not to be trusted: names stay printable and in their bounds.
 *
 * The first byte says whose file the rest is.
 */
#include "file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "probe/container.h"

#define ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0123456789abcdef0123456789abcdef"

static const struct {
	const char *file, *path;
} places[] = {
	{"run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json",
	 "/kubepods.slice/kubepods-pod12345678_9abc_def0_1234_56789abcdef0.slice/"
	 "cri-containerd-" ID ".scope"},
	{"run/containers/storage/overlay-containers/" ID "/userdata/config.json",
	 "/kubepods.slice/crio-" ID ".scope"},
	{"run/runc/" ID "/state.json", "/x/" ID},
	{"run/runc/web/state.json", "/any/where/web"},
	{"var/lib/docker/containers/" ID "/config.v2.json", "/docker/" ID},
	{"var/lib/containers/storage/overlay-containers/containers.json",
	 "/machine.slice/libpod-" ID ".scope"},
	{"run/containerd/io.containerd.runtime.v2.task/default/web/config.json", "/default/web"},
};
#define N_PLACES (sizeof(places) / sizeof(places[0]))

static char root[] = "/tmp/hopscope-fuzz.XXXXXX";
static int root_fd = -1;

static void remove_root(void)
{
	char path[512];

	for (size_t i = 0; i < N_PLACES; i++) {
		snprintf(path, sizeof(path), "%s", places[i].file);
		unlinkat(root_fd, path, 0);
	}
	for (size_t i = 0; i < N_PLACES; i++) {
		snprintf(path, sizeof(path), "%s", places[i].file);
		for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
			*slash = '\0';
			unlinkat(root_fd, path, AT_REMOVEDIR);
		}
	}
	rmdir(root);
}

static void make_root(void)
{
	if (root_fd >= 0)
		return;
	MUST(mkdtemp(root));
	root_fd = open(root, O_DIRECTORY | O_CLOEXEC);
	MUST(root_fd >= 0);
	for (size_t i = 0; i < N_PLACES; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s", places[i].file);
		for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
			*slash = '\0';
			mkdirat(root_fd, path, 0700);
			*slash = '/';
		}
	}
	atexit(remove_root);
}

static void must_print(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	MUST(n < size);
	for (size_t i = 0; i < n; i++)
		MUST(s[i] >= ' ' && s[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct containers *cs;
	struct container *c;
	size_t place;
	int fd;

	if (!len)
		return 0;
	make_root();
	place = data[0] % N_PLACES;
	fd = openat(root_fd, places[place].file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write(fd, data + 1, len - 1) == (ssize_t)len - 1);
	close(fd);
	cs = containers__open(root);
	c = malloc(sizeof(*c));
	MUST(cs && c);
	for (size_t i = 0; i < N_PLACES; i++) {
		containers__resolve(cs, places[i].path, c);
		must_print(c->runtime, sizeof(c->runtime));
		must_print(c->id, sizeof(c->id));
		must_print(c->name, sizeof(c->name));
		must_print(c->pod, sizeof(c->pod));
		must_print(c->pod_uid, sizeof(c->pod_uid));
		must_print(c->namespace_, sizeof(c->namespace_));
		container__matches(c, places[i].path, "web");
		container__in_pod(c, "default");
	}
	free(c);
	containers__close(cs);
	unlinkat(root_fd, places[place].file, 0);
	return 0;
}
