//go:build !purego

#include "textflag.h"

// func markWide(stops, doc []byte)
TEXT ·markWide(SB), NOSPLIT, $0-48
	MOVQ stops_base+0(FP), DI
	MOVQ stops_len+8(FP), R10
	MOVQ doc_base+24(FP), SI
	MOVQ doc_len+32(FP), CX
	LEAQ -8(DI)(R10*1), R10       // the last word
	MOVQ $0x5555555555555555, R11 // even bits
	MOVL $0x22, AX                // quotes
	VPBROADCASTB AX, Z1
	MOVL $0x5C, AX                // backslashes
	VPBROADCASTB AX, Z2
	MOVL $0x20, AX                // what follows the control characters
	VPBROADCASTB AX, Z3
	XORL R12, R12                 // 1 where the block before escapes the first byte
	SUBQ $64, CX
	JLT  tail

block:
	PREFETCHT0 2048(SI)
	VMOVDQU64 (SI), Z0

classify:
	VPCMPEQB Z1, Z0, K1
	VPCMPEQB Z2, Z0, K2
	VPCMPUB $1, Z3, Z0, K3
	KORQ K1, K3, K1
	KMOVQ K2, AX
	KMOVQ K1, R9
	TESTL R12, R12
	JNZ  escaped
	LEAQ (AX)(AX*1), BX // follows

escapes:
	// What function escapes does. There is no branch for blocks without backslashes, which would be mispredicted where
	// paths are those of Windows; but that a block escapes the first byte of the next is rare.
	MOVQ BX, DX
	ORQ  R11, DX
	ANDNQ AX, DX, DX // runs that begin on an odd bit
	ADDQ AX, DX
	JCS  carried

marked:
	ADDQ DX, DX
	XORQ R11, DX
	ANDQ BX, DX // escaped
	ORQ  AX, R9
	ANDNQ R9, DX, DX
	MOVQ DX, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	SUBQ $64, CX
	JGE  block

	// The last bytes, as if spaces followed them.
tail:
	ADDQ $64, CX
	JLE  done
	MOVQ $-1, AX
	BZHIQ CX, AX, AX
	KMOVQ AX, K4
	VMOVDQA64 Z3, Z0
	VMOVDQU8 (SI), K4, Z0
	XORL CX, CX
	JMP  classify

escaped:
	ANDNQ AX, R12, AX
	LEAQ 1(AX)(AX*1), BX
	XORL R12, R12
	JMP  escapes

carried:
	MOVL $1, R12
	JMP  marked

done:
	XORL AX, AX
	MOVQ AX, (DI)
	MOVQ AX, (R10)
	VZEROUPPER
	RET
