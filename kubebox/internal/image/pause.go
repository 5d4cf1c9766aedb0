package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// PauseName is the name of the pause image in containerd.
const PauseName = "kubebox.local/pause:1"

// Pause returns the image of the program that holds a pod's namespaces: it asks
// the kernel to bury its children, as the first process of a namespace must, and sleeps
// for ever. Forty instructions need no compiler, and arrive in no download.
func Pause(arch string) (*Image, error) {
	var machine elf.Machine
	var code []byte
	switch arch {
	case "amd64":
		machine, code = elf.EM_X86_64, pauseAMD64
	case "arm64":
		machine, code = elf.EM_AARCH64, pauseARM64
	default:
		return nil, fmt.Errorf("kubebox knows no pause program for %s, only for amd64 and arm64", arch)
	}
	return New(v1.ImageConfig{Entrypoint: []string{"/pause"}}, File{Path: "pause", Mode: 0o755, Content: executable(machine, code)})
}

// ignored is the kernel's struct sigaction with the handler SIG_IGN.
var ignored = append([]byte{1}, make([]byte, 31)...)

var pauseAMD64 = append([]byte{
	0xb8, 13, 0, 0, 0, //                mov eax, rt_sigaction
	0xbf, 17, 0, 0, 0, //                mov edi, SIGCHLD
	0x48, 0x8d, 0x35, 0x17, 0, 0, 0, //  lea rsi, [rip+ignored]
	0x31, 0xd2, //                       xor edx, edx
	0x41, 0xba, 8, 0, 0, 0, //           mov r10d, 8
	0x0f, 0x05, //                       syscall
	0xb8, 34, 0, 0, 0, //          loop: mov eax, pause
	0x0f, 0x05, //                       syscall
	0xeb, 0xf7, //                       jmp loop
	0, 0, 0, 0, //                       fill up to 40
}, ignored...)

var pauseARM64 = append(words(
	0xd28010c8, //       mov x8, rt_sigaction
	0xd2800220, //       mov x0, SIGCHLD
	0x10000181, //       adr x1, ignored
	0xd2800002, //       mov x2, 0
	0xd2800103, //       mov x3, 8
	0xd4000001, //       svc 0
	0xd2800928, // loop: mov x8, ppoll
	0xd2800000, //       mov x0, 0
	0xd2800001, //       mov x1, 0
	0xd2800002, //       mov x2, 0
	0xd2800003, //       mov x3, 0
	0xd4000001, //       svc 0
	0x17fffffa, //       b loop
	0,          //                fill up to 56
), ignored...)

func words(instructions ...uint32) []byte {
	var b []byte
	for _, i := range instructions {
		b = binary.LittleEndian.AppendUint32(b, i)
	}
	return b
}

// executable wraps code into the smallest static ELF file that Linux starts.
func executable(machine elf.Machine, code []byte) []byte {
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x10000,
	}
	var b bytes.Buffer
	for _, part := range []any{header, segment, code} {
		_ = binary.Write(&b, binary.LittleEndian, part) // to memory, of fixed size: cannot fail
	}
	return b.Bytes()
}
