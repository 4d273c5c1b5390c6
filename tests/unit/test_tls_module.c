// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where TLS functions are probed, in the libraries of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "probe/tls_module.h"

static void read_module(const char *path, struct tls_module *m)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		skip();
	assert_int_equal(tls_module__read(m, fd), 0);
	close(fd);
}

static const struct tls_site *site(const struct tls_module *m, enum tls_role role)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->sites[i].what->role == role)
			return &m->sites[i];
	}
	return NULL;
}

static size_t count(const struct tls_module *m, enum tls_role role)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->sites[i].what->role == role;
	return n;
}

/* Both forms of a read and of a write are one function there, and it is cheap to probe. */
static void test_openssl(void **state)
{
	struct tls_module m;

	(void)state;
	read_module("/usr/lib/x86_64-linux-gnu/libssl.so.3", &m);
	assert_string_equal(m.library, "OpenSSL");
	assert_int_equal(count(&m, TLS_END), 2);
	assert_int_equal(count(&m, TLS_HANDSHAKE), 1);
	for (enum tls_role role = TLS_READ; role <= TLS_WRITE; role++) {
		const struct tls_site *s = site(&m, role);

		assert_non_null(s);
		/* One that is inner stands for both, and says by pointer how much it moved. */
		assert_int_equal(count(&m, role), s->inner ? 1 : 2);
		if (s->inner) {
			assert_int_equal(s->result, TLS_STORES);
			assert_true(s->wide && s->at.emulated);
			assert_int_equal(s->at.pushed, 0);
		}
	}
	assert_true(site(&m, TLS_READ)->offset != site(&m, TLS_WRITE)->offset);
}

static void test_gnutls(void **state)
{
	struct tls_module m;

	(void)state;
	read_module("/usr/lib/x86_64-linux-gnu/libgnutls.so.30", &m);
	assert_string_equal(m.library, "GnuTLS");
	assert_int_equal(site(&m, TLS_READ)->result, TLS_RETURNS);
	assert_true(site(&m, TLS_READ)->wide);
	assert_non_null(site(&m, TLS_WRITE));
	assert_non_null(site(&m, TLS_END));
}

/* A return probe replaces what is on top of the stack: that must be the return address. */
static void test_returns(void **state)
{
	static const char *const files[] = {"/usr/lib/x86_64-linux-gnu/libssl.so.3",
					    "/usr/lib/x86_64-linux-gnu/libgnutls.so.30"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct tls_module m;

		read_module(files[i], &m);
		for (size_t k = 0; k < m.n; k++) {
			if (m.sites[k].what->role != TLS_END)
				assert_int_equal(m.sites[k].at.pushed, 0);
		}
	}
}

static void test_others(void **state)
{
	struct tls_module m;

	(void)state;
	read_module("/proc/self/exe", &m);
	assert_int_equal(m.n, 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_true(tls_libs__is_named("/usr/lib/libssl.so.3"));
	assert_true(tls_libs__is_named("/x/psycopg2.libs/libssl-81ffa89e.so.3"));
	assert_true(tls_libs__is_named("libgnutls.so.30"));
	assert_false(tls_libs__is_named("/usr/lib/libssl3.so")); /* NSS */
	assert_false(tls_libs__is_named("/usr/lib/libcrypto.so.3"));
	assert_false(tls_libs__is_named("/libssl.so/other"));
}

static void test_table(void **state)
{
	size_t n;
	const struct tls_function *f = tls_libs__functions(&n);

	(void)state;
	assert_true(n <= TLS_MODULE_SITES);
	for (size_t i = 0; i < n; i++) {
		assert_true(f[i].role > TLS_NONE && f[i].role <= TLS_SEND_FILE);
		assert_null(strstr(f[i].symbol, "peek"));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(f[i].symbol, f[k].symbol);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openssl), cmocka_unit_test(test_gnutls),
		cmocka_unit_test(test_returns), cmocka_unit_test(test_others),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
