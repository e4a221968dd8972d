/* version.c: which secagg.h the library was compiled with. */
#include "kernel.h" /* which refuses hosts that this is not for */
#include "secagg.h"

int secagg_api_version(void) { return SECAGG_API_VERSION; }
