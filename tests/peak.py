"""Peak memory of a process, as source for scripts that run in processes of their own."""

PEAK_MB = """
import resource, sys
def peak_mb():
    # Not getrusage where /proc is: there it counts the process that started this one, too.
    if sys.platform == "linux":
        return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
"""
