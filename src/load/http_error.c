/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load/http_error.h"

#include <errno.h>

/* The socket's own reason, where it has a name of ours. It says more than libcurl's. */
static enum http_fate errno__fate(long os_errno, enum http_fate other)
{
	switch (os_errno) {
	case ECONNREFUSED: return HTTP_REFUSED;
	case ECONNRESET: return HTTP_RESET;
	case ETIMEDOUT: return HTTP_TIMEOUT;
	case EPIPE: return HTTP_CLOSED; /* the server had closed before it reset */
	default: return other;
	}
}

enum http_fate http_error__fate(CURLcode code, long os_errno)
{
	switch (code) {
	case CURLE_OK: return HTTP_ANSWERED;
	case CURLE_OPERATION_TIMEDOUT: return HTTP_TIMEOUT;
	case CURLE_COULDNT_CONNECT: return errno__fate(os_errno, HTTP_OTHER);
	/* No answer, or not the whole: unless the socket says more, the server closed. */
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR: return errno__fate(os_errno, HTTP_CLOSED);
	case CURLE_SSL_CONNECT_ERROR: /* the handshake: it may have been the network */
		return errno__fate(os_errno, HTTP_TLS);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_SHUTDOWN_FAILED:
	case CURLE_USE_SSL_FAILED: return HTTP_TLS;
	default: return HTTP_OTHER;
	}
}
