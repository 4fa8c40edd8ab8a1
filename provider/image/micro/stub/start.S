/*
 * Entry of a packed kernel, as QEMU starts it by the PVH protocol (Xen's docs/misc/pvh.markdown): 32-bit protected mode,
 * flat segments, paging off, EBX = physical address of hvm_start_info.
 *
 * It unpacks the kernel to where it belongs in 64-bit mode, goes back to the state that it was started in, and jumps to the
 * kernel's own PVH entry. It runs wherever it is loaded: the builder writes the address into the first instruction, and
 * what to do into the parameters behind it (struct task in unpack.c).
 */
	.text
	.code32
	.globl start
start:
	movl	$0, %ebp		/* patched: where this is loaded */
	jmp	begin
	.balign	8
	.globl task
task:
	.fill	8, 8, 0			/* patched: see struct task */
#define TASK(n) (task - start + (n) * 8)(%ebp)
#define WORK TASK(6)
#define ENTRY TASK(7)

begin:
	cli
	cld
	movl	WORK, %edi		/* page tables: 1 + 1 + 4 pages, then the stack's page, then the decoder's memory */
	leal	0x7000(%edi), %esp
	pushl	%ebx
	movl	%edi, %edx
	xorl	%eax, %eax
	movl	$0x6000 / 4, %ecx
	rep stosl
	leal	0x1003(%edx), %eax	/* present, writable */
	movl	%eax, (%edx)
	leal	0x2003(%edx), %eax
	movl	$4, %ecx
	leal	0x1000(%edx), %edi
1:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	loop	1b
	movl	$0x83, %eax		/* 2 MiB pages, the first 4 GiB as they are */
	movl	$2048, %ecx
	leal	0x2000(%edx), %edi
2:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	2b

	leal	(gdt - start)(%ebp), %eax
	movl	%eax, (gdt_pointer + 2 - start)(%ebp)
	lgdt	(gdt_pointer - start)(%ebp)
	movl	%edx, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax	/* PG */
	movl	%eax, %cr0
	pushl	$0x08
	leal	(long_mode - start)(%ebp), %eax
	pushl	%eax
	lret

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%ebp, %ebp
	movl	%esp, %esp
	leaq	task(%rip), %rdi
	call	unpack
	testl	%eax, %eax
	jnz	fail
	pushq	$0x10
	leaq	protected_mode(%rip), %rax
	pushq	%rax
	lretq

fail:	leaq	message(%rip), %rsi
	movl	$message_end - message, %ecx
	movw	$0x3f8, %dx		/* first serial port */
	rep outsb
3:	hlt
	jmp	3b

	.code32
protected_mode:
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0
	movl	$0xc0000080, %ecx
	rdmsr
	andl	$~0x100, %eax
	wrmsr
	movl	%cr4, %eax
	andl	$~0x20, %eax
	movl	%eax, %cr4
	popl	%ebx
	jmp	*ENTRY

	.balign	8
gdt:	.quad	0
	.quad	0x00af9a000000ffff	/* 0x08: 64-bit code */
	.quad	0x00cf9a000000ffff	/* 0x10: 32-bit code */
	.quad	0x00cf92000000ffff	/* 0x18: data */
gdt_pointer:
	.word	. - gdt - 1
	.long	0
message:
	.ascii	"labctl: this kernel is damaged, build its image again\r\n"
message_end:

	.section .note.GNU-stack, "", @progbits
