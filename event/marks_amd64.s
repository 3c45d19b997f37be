//go:build !purego

#include "textflag.h"

// func markBlocks(stops, doc []byte, carry uint64) uint64
TEXT ·markBlocks(SB), NOSPLIT, $0-64
	MOVQ stops_base+0(FP), DI
	MOVQ doc_base+24(FP), SI
	MOVQ doc_len+32(FP), CX
	MOVQ carry+48(FP), R12
	SHRQ $6, CX
	MOVQ $0x5555555555555555, R11 // even bits
	MOVQ $0x2222222222222222, AX  // quotes
	MOVQ AX, X8
	PUNPCKLQDQ X8, X8
	MOVQ $0x5C5C5C5C5C5C5C5C, AX // backslashes
	MOVQ AX, X9
	PUNPCKLQDQ X9, X9
	MOVQ $0x1F1F1F1F1F1F1F1F, AX // the last control character
	MOVQ AX, X10
	PUNPCKLQDQ X10, X10
	JMP  test

block:
	PREFETCHT0 2048(SI)
	MOVOU 0(SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3

	MOVO X0, X4
	PCMPEQB X8, X4
	PMOVMSKB X4, R9
	MOVO X1, X5
	PCMPEQB X8, X5
	PMOVMSKB X5, BX
	SHLQ $16, BX
	ORQ  BX, R9
	MOVO X2, X6
	PCMPEQB X8, X6
	PMOVMSKB X6, DX
	SHLQ $32, DX
	ORQ  DX, R9
	MOVO X3, X7
	PCMPEQB X8, X7
	PMOVMSKB X7, R8
	SHLQ $48, R8
	ORQ  R8, R9

	// Most blocks have neither backslashes nor control characters. A byte is one of the latter where the lesser of it
	// and 0x1F is itself; where the least of four bytes is one, one of them is.
	MOVO X0, X4
	PCMPEQB X9, X4
	MOVO X1, X5
	PCMPEQB X9, X5
	MOVO X2, X6
	PCMPEQB X9, X6
	MOVO X3, X7
	PCMPEQB X9, X7
	POR  X5, X4
	POR  X7, X6
	POR  X6, X4
	MOVO X0, X5
	PMINUB X1, X5
	PMINUB X2, X5
	PMINUB X3, X5
	MOVO X5, X6
	PMINUB X10, X6
	PCMPEQB X5, X6
	POR  X6, X4
	PMOVMSKB X4, AX
	ORL  R12, AX
	JNZ  specials

next:
	MOVQ R9, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX

test:
	TESTQ CX, CX
	JG   block
	MOVQ R12, ret+56(FP)
	RET

specials:
	MOVO X0, X4
	PCMPEQB X9, X4
	PMOVMSKB X4, AX
	MOVO X1, X5
	PCMPEQB X9, X5
	PMOVMSKB X5, BX
	SHLQ $16, BX
	ORQ  BX, AX
	MOVO X2, X6
	PCMPEQB X9, X6
	PMOVMSKB X6, DX
	SHLQ $32, DX
	ORQ  DX, AX
	MOVO X3, X7
	PCMPEQB X9, X7
	PMOVMSKB X7, R8
	SHLQ $48, R8
	ORQ  R8, AX
	ORQ  AX, R9

	MOVO X0, X4
	PMINUB X10, X4
	PCMPEQB X0, X4
	PMOVMSKB X4, BX
	ORQ  BX, R9
	MOVO X1, X5
	PMINUB X10, X5
	PCMPEQB X1, X5
	PMOVMSKB X5, BX
	SHLQ $16, BX
	ORQ  BX, R9
	MOVO X2, X6
	PMINUB X10, X6
	PCMPEQB X2, X6
	PMOVMSKB X6, DX
	SHLQ $32, DX
	ORQ  DX, R9
	MOVO X3, X7
	PMINUB X10, X7
	PCMPEQB X3, X7
	PMOVMSKB X7, R8
	SHLQ $48, R8
	ORQ  R8, R9

	// What function escapes does.
	MOVQ R12, BX
	NOTQ BX
	ANDQ BX, AX             // free
	LEAQ (R12)(AX*2), BX    // follows
	MOVQ R11, DX
	ORQ  BX, DX
	NOTQ DX
	ANDQ AX, DX             // runs that begin on an odd bit
	XORQ R12, R12
	ADDQ AX, DX
	ADCQ $0, R12
	ADDQ DX, DX
	XORQ R11, DX
	ANDQ BX, DX             // escaped
	NOTQ DX
	ANDQ DX, R9
	JMP  next
