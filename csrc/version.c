/* version.c: which secagg.h the library was compiled with. */
#include "secagg.h"

int secagg_api_version(void) { return SECAGG_API_VERSION; }
