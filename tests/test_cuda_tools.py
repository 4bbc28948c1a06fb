"""How the machine code of kernels for a GPU is read and judged; compiling itself needs packages that tests do without."""

import pytest

pytest.importorskip("bench", reason="the benchmarks are in the checkout only")

from bench import works
from bench.cuda.assemble import Assembled
from bench.cuda.roofline import A100, GPUS, H100, LIMITS, cycles, even_share, resident_blocks, seconds
from bench.cuda.sass import parse
from bench.engines import REFERENCE, compared, load, prepare
from bench.turns import disagreement

CODE = """
//--------------------- .text.some_kernel --------------------------
some_kernel:
.text.some_kernel:
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
        /*0020*/                   STS.64 [R5], R4 ;
        /*0030*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
.L_x_1:
        /*0040*/                   LDS.128 R8, [R6] ;
        /*0050*/              @!P0 FFMA R12, R8, R9, R12 ;
        /*0060*/                   FFMA R13, R8, R10, R13 ;
        /*0070*/              @P1  BRA `(.L_x_1) ;
        /*0080*/                   ISETP.GE.AND P0, PT, R3, c[0x0][0x170], PT ;
        /*0090*/                   LDG.E.U8 R4, [R2.64] ;
        /*00a0*/              @!P0 BRA `(.L_x_0) ;
.L_x_2:
        /*00b0*/                   LDL R3, [R1] ;
        /*00c0*/              @P0  BRA `(.L_x_2) ;
        /*00d0*/                   EXIT ;
.L_x_3:
        /*00e0*/                   BRA `(.L_x_3);
        /*00f0*/                   NOP;
"""


def test_loops_of_machine_code():
    """The two that hold no other one; an endless branch to itself at the end is none."""
    code = parse(CODE)
    assert len(code.instructions) == 16
    assert [[each.stem for each in loop.instructions] for loop in code.innermost] == [
        ["LDS", "FFMA", "FFMA", "BRA"],
        ["LDL", "BRA"],
    ]
    assert code.hot.fmas == 2
    assert code.hot.fma_share == 0.5
    assert code.hot.bytes_per("LDS") == 16
    assert code.hot.bytes_per("LDG") == 0
    assert [each.bytes for each in code.instructions if each.stem == "LDG"] == [16, 1]
    assert code.innermost[1].count("LDL", "STL") == 1


@pytest.mark.parametrize(
    ("registers", "shared", "threads", "blocks"),
    [
        (32, 0, 256, 8),  # all 64 warps
        (128, 16896, 256, 2),
        (129, 16896, 256, 1),  # registers come in steps: 129 cost as much as 136
        (32, 40 << 10, 256, 4),  # 164 KiB of shared memory, 41 with what a block pays itself
        (32, 41 << 10, 256, 3),
        (16, 0, 32, 32),  # never more blocks
        (255, 0, 512, 0),  # cannot be launched
    ],
)
def test_resident_blocks(registers, shared, threads, blocks):
    assert resident_blocks(Assembled(registers, shared, 0, 0, b""), threads, LIMITS[8, 0]) == blocks


def test_peaks_are_the_data_sheets():
    assert [round(gpu.peak() / 1e12, 1) for gpu in GPUS] == [19.5, 66.9]
    assert [round(gpu.peak(8) / 1e12, 1) for gpu in GPUS] == [9.7, 33.5]


def test_what_limits_a_loop():
    """Two multiply-adds of four instructions: an A100 needs two cycles for each, so that issue is no limit; an H100 one."""
    loop = parse(CODE).hot
    on_a100, on_h100 = (cycles(loop, gpu, blocks=2, threads=256) for gpu in (A100, H100))
    assert (on_a100.multiply_adds, on_a100.issue, on_a100.shared, on_a100.l2) == (16, 16, 64, 0)
    assert on_a100.share == 0.25  # 16 bytes from shared memory for two multiply-adds are far too many
    assert on_h100.share == 0.125
    assert even_share(1024, 108) == 1024 / 1080  # one of 108 multiprocessors has ten blocks
    assert even_share(216, 108) == 1


def test_roofline():
    assert seconds(19.5e12, 1, 19.5e12, 1555) == 1
    assert seconds(1, 1555e9, 19.5e12, 1555) == 1


@pytest.mark.usefixtures("gpu")
@pytest.mark.filterwarnings("ignore:Simulator timings are bogus")
@pytest.mark.parametrize("work", [works.xor(), works.matmul(3, 5, 7)], ids=lambda work: work.name)
def test_the_engine_that_is_timed_on_a_gpu(work):
    running = prepare("cuda", work)
    assert not disagreement(work, compared(running, work), compared(prepare(REFERENCE, work), work))
    assert load("cuda").clock(running.step, 1) >= 0
