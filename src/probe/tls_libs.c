// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/tls_libs.h"

#include <string.h>

/*
 * SSL_peek and its like are not here: what they show is read again. Nor are SSL_connect and
 * SSL_accept, which call SSL_do_handshake. Names that BoringSSL and LibreSSL share mean the same.
 */
static const struct tls_function functions[] = {
	{"SSL_read", "OpenSSL", TLS_READ, TLS_RETURNS, false, "read"},
	{"SSL_read_ex", "OpenSSL", TLS_READ, TLS_STORES, true, "read"},
	{"SSL_write", "OpenSSL", TLS_WRITE, TLS_RETURNS, false, "write"},
	{"SSL_write_ex", "OpenSSL", TLS_WRITE, TLS_STORES, true, "write"},
	{"SSL_sendfile", "OpenSSL", TLS_SEND_FILE, TLS_RETURNS, true, NULL},
	{"SSL_do_handshake", "OpenSSL", TLS_HANDSHAKE, TLS_RETURNS, false, NULL},
	{"SSL_clear", "OpenSSL", TLS_END, TLS_RETURNS, false, NULL},
	{"SSL_free", "OpenSSL", TLS_END, TLS_RETURNS, false, NULL},
	{"gnutls_record_recv", "GnuTLS", TLS_READ, TLS_RETURNS, true, NULL},
	{"gnutls_record_send", "GnuTLS", TLS_WRITE, TLS_RETURNS, true, NULL},
	{"gnutls_record_send2", "GnuTLS", TLS_WRITE, TLS_RETURNS, true, NULL},
	{"gnutls_handshake", "GnuTLS", TLS_HANDSHAKE, TLS_RETURNS, false, NULL},
	{"gnutls_deinit", "GnuTLS", TLS_END, TLS_RETURNS, false, NULL},
};

/* Python's wheels carry libssl-3a4b5c.so.3, Debian's node libnode.so. */
static const char *const names[] = {"libssl.so", "libssl-", "libgnutls.so", "libgnutls-",
				    "libnode.so"};

const struct tls_function *tls_libs__functions(size_t *n)
{
	*n = sizeof(functions) / sizeof(functions[0]);
	return functions;
}

bool tls_libs__is_named(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strncmp(base, names[i], strlen(names[i])))
			return true;
	}
	return false;
}
