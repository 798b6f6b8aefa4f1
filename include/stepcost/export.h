/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STEPCOST_EXPORT_H
#define STEPCOST_EXPORT_H

#if defined(__GNUC__)
#define SCO_API __attribute__((visibility("default")))
#define SCO_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define SCO_API
#define SCO_PRINTF(fmt, first)
#endif

#ifdef __cplusplus
#define SCO_RESTRICT __restrict
#define SCO_BEGIN_DECLS extern "C" {
#define SCO_END_DECLS }
#else
#define SCO_RESTRICT restrict
#define SCO_BEGIN_DECLS
#define SCO_END_DECLS
#endif

#endif
